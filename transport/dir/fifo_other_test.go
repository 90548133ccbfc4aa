//go:build !unix

package dir

import "errors"

func makeFIFO(string) error { return errors.ErrUnsupported }
