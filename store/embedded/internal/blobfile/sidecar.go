package blobfile

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/rootfile"
)

const (
	noteSuffix = ".ref" // of the sidecar of a file that is being written
	tempSuffix = ".tmp" // of a sidecar that is being written

	noteMagic = "dhow-ingest 1"
	maxNote   = 16 << 10
)

// note is what a sidecar says of the file beside it. It is text in lines, each with a
// newline at its end:
//
//	dhow-ingest 1
//	ref "TEXT"                      quoted as a string of Go is
//	started UNIX-NANOSECONDS
//	state ALGORITHM SIZE INODE MODIFIED CHANGED HEX
//	sum HEX                         the sha256 of all lines before
//
// It is there after a Close, or where the name cannot tell the ref. The line of the state
// is there for large files. HEX is what crypto's hash of that
// algorithm marshals to when it has seen the file, which then had the size, inode and
// times (Unix nanoseconds) that are noted. Whoever does not know the state, or finds
// another file, hashes it anew. A sidecar that is not like this is as good as none.
type note struct {
	ref     string
	started time.Time

	algorithm digest.Algorithm
	of        identity
	state     []byte // nil: none
}

func (in *Ingest) newNote() note { return note{ref: in.ref, started: time.Unix(0, in.started.Load())} }

func (n note) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nref %s\nstarted %d\n", noteMagic, strconv.QuoteToASCII(n.ref), n.started.UnixNano())
	if n.state != nil {
		fmt.Fprintf(&b, "state %s %d %d %d %d %x\n", n.algorithm, n.of.size, n.of.inode, n.of.modified, n.of.changed, n.state)
	}
	fmt.Fprintf(&b, "sum %x\n", sha256.Sum256(b.Bytes()))
	return b.Bytes()
}

var errNote = errors.New("it is no sidecar")

func decodeNote(data []byte) (n note, err error) {
	text := string(data)
	end := strings.LastIndex(text, "\nsum ") + 1
	body := text[:end]
	if want := sha256.Sum256([]byte(body)); text[end:] != fmt.Sprintf("sum %x\n", want) {
		return note{}, errNote
	}
	lines := strings.Split(body, "\n")
	if len(lines) < 4 || len(lines) > 5 || lines[0] != noteMagic {
		return note{}, errNote
	}
	quoted, ok := strings.CutPrefix(lines[1], "ref ")
	if n.ref, err = strconv.Unquote(quoted); err != nil || !ok {
		return note{}, errNote
	}
	var nanoseconds int64
	if _, err := fmt.Sscanf(lines[2], "started %d", &nanoseconds); err != nil {
		return note{}, errNote
	}
	n.started = time.Unix(0, nanoseconds)
	if len(lines) == 5 {
		_, err := fmt.Sscanf(lines[3], "state %s %d %d %d %d %x",
			&n.algorithm, &n.of.size, &n.of.inode, &n.of.modified, &n.of.changed, &n.state)
		if err != nil {
			return note{}, errNote
		}
	}
	return n, nil
}

// readNote reads the sidecar of a file.
func readNote(ingest *os.Root, name string) (note, error) {
	data, err := rootfile.Read(ingest, name+noteSuffix, maxNote)
	if err != nil {
		return note{}, err
	}
	return decodeNote(data)
}

// writeNote writes the sidecar, in the place of another one.
func (in *Ingest) writeNote(n note) error {
	d, name := in.d, in.name+noteSuffix
	tmp := randomName() + tempSuffix
	f, err := d.ingest.create(tmp)
	if err != nil {
		return fmt.Errorf("making a sidecar: %w", told(err))
	}
	_, err = f.Write(n.encode())
	err = errors.Join(err, f.Close())
	if err == nil && rename(d.ingest, tmp, d.ingest, name) != nil {
		// A directory is in its place, say.
		if err = d.ingest.remove(name); err == nil {
			err = rename(d.ingest, tmp, d.ingest, name)
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing a sidecar: %w", told(err)), d.ingest.remove(tmp))
	}
	in.noted = true
	return nil
}

// sweepIngest removes sidecars that were being written, or have lost their file.
func (d *Dir) sweepIngest() {
	names, err := fs.ReadDir(d.ingest.root.FS(), ".")
	for _, e := range names {
		_, isTemp := strings.CutSuffix(e.Name(), tempSuffix)
		file, isNote := strings.CutSuffix(e.Name(), noteSuffix)
		if isNote {
			_, statErr := d.ingest.root.Lstat(file)
			isNote = errors.Is(statErr, fs.ErrNotExist)
		}
		if isTemp || isNote {
			err = errors.Join(err, d.ingest.remove(e.Name()))
		}
	}
	if err != nil {
		d.log.Warn("removing what was left of files that were being written", "error", told(err))
	}
}

func randomName() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
