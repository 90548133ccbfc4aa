package image

import "github.com/dhowhq/dhow/internal/strictjson"

// The defaults of Limits.
const (
	defaultDocumentBytes = 4 << 20
	defaultConfigBytes   = 8 << 20
	defaultDescriptors   = 10_000
	defaultJSONDepth     = strictjson.DefaultDepth
	defaultGraphDepth    = 8
	defaultGraphNodes    = 100_000
	defaultGraphBytes    = 64 << 20
)

// maxDataBytes bounds what a descriptor may embed in its data field.
const maxDataBytes = 1 << 20

// WithDefaults returns the limits with the default in the place of each field
// that is zero or negative.
func (l Limits) WithDefaults() Limits {
	orDefault(&l.DocumentBytes, defaultDocumentBytes)
	orDefault(&l.ConfigBytes, defaultConfigBytes)
	orDefault(&l.Descriptors, defaultDescriptors)
	orDefault(&l.JSONDepth, defaultJSONDepth)
	orDefault(&l.GraphDepth, defaultGraphDepth)
	orDefault(&l.GraphNodes, defaultGraphNodes)
	orDefault(&l.GraphBytes, defaultGraphBytes)
	return l
}

func orDefault[T int | int64](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// document returns the bounds on the JSON of a manifest or list.
func (l Limits) document() strictjson.Limits {
	return strictjson.Limits{Bytes: l.DocumentBytes, Depth: l.JSONDepth}
}
