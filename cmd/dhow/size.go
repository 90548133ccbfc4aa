package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
)

// maxByteSize is the largest size that can be asked for: a document is held in
// memory.
const maxByteSize = 1 << 30

// byteSize is a flag's number of bytes, from 1 to maxByteSize; 0 means that it was
// not given. It implements pflag.Value.
type byteSize int64

// Set reads a number of bytes, with a unit or without.
func (b *byteSize) Set(s string) error {
	number := strings.TrimRight(s, "kKMGiB")
	unit, ok := map[string]int64{
		"": 1, "B": 1,
		"k": 1e3, "kB": 1e3, "M": 1e6, "MB": 1e6, "G": 1e9, "GB": 1e9,
		"K": 1 << 10, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	}[s[len(number):]]
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || n < 1 || n > maxByteSize/unit {
		return fmt.Errorf("a size is a whole number of bytes from 1 to %d, maybe with a unit as in 8MiB: %w", maxByteSize, errdefs.ErrInvalidArgument)
	}
	*b = byteSize(n * unit)
	return nil
}

// String returns what Set would read.
func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Type is the placeholder in help.
func (*byteSize) Type() string { return "SIZE" }
