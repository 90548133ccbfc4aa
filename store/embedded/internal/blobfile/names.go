package blobfile

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	// plainPrefix begins the name of a file that tells its ref.
	plainPrefix = "r-"
	// sumPrefix begins that of a file that tells the sha256 of its ref, as it would
	// be too long: file systems allow for 255 bytes.
	sumPrefix = "h-"
	maxPlain  = 240
)

// nameOf returns the name of the file of a ref: what is not a-z, 0-9, - or _ is written
// as % and two lower-case hex digits, so that the name is another one for another ref
// even where the file system ignores case.
func nameOf(ref string) string {
	var b strings.Builder
	b.WriteString(plainPrefix)
	for i := range len(ref) {
		if c := ref[i]; isPlain(c) {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + hex.EncodeToString([]byte{c}))
		}
	}
	if b.Len() <= maxPlain {
		return b.String()
	}
	sum := sha256.Sum256([]byte(ref))
	return sumPrefix + hex.EncodeToString(sum[:])
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// refOf returns the ref of which a name tells.
func refOf(name string) (ref string, ok bool) {
	rest, ok := strings.CutPrefix(name, plainPrefix)
	if !ok {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(rest); i++ {
		if rest[i] != '%' {
			b.WriteByte(rest[i])
			continue
		}
		c, err := hex.DecodeString(rest[min(i+1, len(rest)):min(i+3, len(rest))])
		if err != nil || len(c) != 1 {
			return "", false
		}
		b.WriteByte(c[0])
		i += 2
	}
	return b.String(), nameOf(b.String()) == name && b.Len() > 0
}

// isIngest reports whether a name is that of a file that is being written.
func isIngest(name string) bool {
	if _, ok := refOf(name); ok {
		return true
	}
	sum, ok := strings.CutPrefix(name, sumPrefix)
	return ok && len(sum) == 2*sha256.Size && strings.Trim(sum, "0123456789abcdef") == ""
}
