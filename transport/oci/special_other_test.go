//go:build !unix

package oci

import "errors"

func asFIFO(string) error { return errors.ErrUnsupported }

func asDevice(string) error { return errors.ErrUnsupported }
