// Package crashtest has the tests that take the power away from an embedded store, kill
// its process, fill its disk and have its system calls fail, and look at what is left:
// docs/reliability.md says what is promised and how to repeat them.
//
// A writer process works on a store in several lanes at once. What a lane does follows
// from a seed, so that who checks knows what there has to be after so many operations;
// the writer says on a pipe what it begins and what is done.
package crashtest
