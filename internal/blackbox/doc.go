// Package blackbox holds the tests that run the dhow binary as users do: killed,
// in two processes at once, and beside cp. It has no code of its own.
package blackbox
