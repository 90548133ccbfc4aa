package image

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
)

var (
	signatureFields = strictjson.NewFields("header", "signature", "protected")
	protectedFields = strictjson.NewFields("formatLength", "formatTail")
)

// jwsReader finds what the signatures of a signed schema 1 manifest sign: its
// first formatLength bytes, then formatTail. Both are claims of the signatures
// themselves, and a digest is of what they sign, while what is read is the whole
// document. So the two must say the same: the payload is the document without its
// last member, signatures, and nothing else.
type jwsReader struct {
	end        int64 // of the last value before the signatures
	found      bool  // there is a member signatures, not null
	signatures int
	format     jwsFormat
}

// jwsFormat is what a signature says of the payload.
type jwsFormat struct {
	length int64
	tail   string
}

// object reads the manifest and calls member for what is not null and not the
// signatures.
func (j *jwsReader) object(r *strictjson.Reader, member func(r *strictjson.Reader, name string) error) error {
	return r.Object(schema1Fields, func(name string) error {
		if j.found {
			return r.Errorf(errdefs.ErrInvalidArgument, "comes after the signatures, which do not sign it")
		}
		if name == "signatures" && r.Kind() != strictjson.Null {
			j.found = true
			return r.Array(func(int) error { return j.signature(r) })
		}
		_, err := r.Capture(func() error {
			if r.Null() {
				return nil
			}
			return member(r, name)
		})
		j.end = r.Consumed()
		return err
	})
}

// signature reads one signature. All of them must be of the same payload.
func (j *jwsReader) signature(r *strictjson.Reader) error {
	var format *jwsFormat
	err := r.Record(signatureFields, func(name string) error {
		if name != "protected" {
			return nil
		}
		text, err := r.String()
		if err != nil {
			return err
		}
		// Base64 of JSON Web Signatures has no padding, but be lenient.
		protected, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
		if err != nil {
			return r.Errorf(errdefs.ErrInvalidArgument, "is not base64: %v", err)
		}
		if format, err = readJWSFormat(protected); err != nil {
			err = fmt.Errorf("%s: %w", r.Path(), err)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case format == nil:
		return r.Missing("protected")
	case j.signatures > 0 && *format != j.format:
		return r.Errorf(errdefs.ErrInvalidArgument, "signs another payload than the one before")
	}
	j.format = *format
	j.signatures++
	return nil
}

// readJWSFormat reads the JSON that a signature protects.
func readJWSFormat(protected []byte) (*jwsFormat, error) {
	format := jwsFormat{length: -1}
	err := strictjson.Read(protected, strictjson.Limits{}, func(r *strictjson.Reader) error {
		err := r.Record(protectedFields, func(name string) (err error) {
			switch name {
			case "formatLength":
				format.length, err = r.Int64()
			case "formatTail":
				format.tail, err = r.String()
			}
			return err
		})
		if err == nil && format.length < 0 {
			err = r.Missing("formatLength")
		}
		return err
	})
	return &format, err
}

// payload returns what is signed, in two parts, once all of data has been read.
func (j *jwsReader) payload(data []byte) ([2][]byte, error) {
	none := [2][]byte{}
	if j.signatures == 0 {
		return none, fmt.Errorf("signatures: a signed manifest has at least one: %w", errdefs.ErrInvalidArgument)
	}
	tail, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(j.format.tail, "="))
	if err != nil {
		return none, fmt.Errorf("signatures: formatTail %s is not base64: %w", strictjson.Quote(j.format.tail), errdefs.ErrInvalidArgument)
	}
	length := j.format.length
	if length < j.end || length > int64(len(data)) ||
		len(trimJSON(data[j.end:length])) > 0 || string(trimJSON(tail)) != "}" {
		return none, fmt.Errorf("signatures: what they sign (%d bytes and %s) is not this manifest, whose members end at byte %d: %w",
			length, strictjson.Quote(tail), j.end, errdefs.ErrInvalidArgument)
	}
	return [2][]byte{data[:length], tail}, nil
}

// trimJSON returns text without what is space in JSON, which is less than in Unicode.
func trimJSON(text []byte) []byte { return bytes.Trim(text, " \t\r\n") }

// signedPayload returns what the signatures of a signed schema 1 manifest sign, in
// two parts. Of the manifest itself no more is checked than that takes.
func signedPayload(data []byte, lim Limits) ([2][]byte, error) {
	var j jwsReader
	err := strictjson.Read(data, lim.document(), func(r *strictjson.Reader) error {
		return j.object(r, func(*strictjson.Reader, string) error { return nil })
	})
	if err != nil {
		return [2][]byte{}, err
	}
	return j.payload(data)
}
