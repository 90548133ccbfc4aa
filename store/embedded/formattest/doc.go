// Package formattest has the test of docs/store-format.md: it reads stores with nothing
// but the rules of that page, and finds in them what the store says that it has.
package formattest
