//go:build !race

package image_test

// hostileBytes is the default of Limits.DocumentBytes.
const hostileBytes = 4 << 20
