//go:build !unix

package oci

import "errors"

func asFIFO(string) error { return errors.ErrUnsupported }
