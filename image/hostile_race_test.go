//go:build race

package image_test

// hostileBytes is less than what is allowed, because the race detector makes all
// code many times slower.
const hostileBytes = 64 << 10
