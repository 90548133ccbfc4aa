package embedded

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
)

// The names in a store's directory, beside lockName and those of package blobfile.
const (
	formatName   = "format"
	databaseName = "catalog.db"
	journalName  = "journal"
	// Databases that were made for the time being: of a store that is damaged, and of one
	// that is being checked.
	scratchName = "scratch.db"
	checkName   = "check.db"
	indexName   = "index.db"
)

const (
	formatVersion = 1
	formatPrefix  = "dhow store "
	maxFormat     = 64 // bytes
)

var errNoFormat = errors.New("its file format is missing or damaged")

// readFormat checks that the store has a format that is known. A format that is missing,
// or none at all, is errNoFormat; a newer one ErrNotImplemented.
func readFormat(root *os.Root) error {
	data, err := rootfile.Read(root, formatName, maxFormat)
	if errdefs.IsNotFound(err) || errdefs.IsResourceExhausted(err) || errdefs.IsInvalidArgument(err) {
		return fmt.Errorf("%w: %w", errNoFormat, err)
	}
	if err != nil {
		return err
	}
	line, ended := strings.CutSuffix(string(data), "\n")
	digits, ok := strings.CutPrefix(line, formatPrefix)
	if !ended || !ok || digits == "" || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return fmt.Errorf("%w: it is %q", errNoFormat, data)
	}
	if digits != strconv.Itoa(formatVersion) { // there is none before the first
		return fmt.Errorf("the store %s has format %s, this program knows formats up to %d; use a newer one: %w",
			root.Name(), digits, formatVersion, errdefs.ErrNotImplemented)
	}
	return nil
}

func writeFormat(root *os.Root) error {
	return files.Write(root, formatName, []byte(formatPrefix+strconv.Itoa(formatVersion)+"\n"))
}
