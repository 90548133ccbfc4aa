// Package copy moves images between places: a whole list with all its platforms,
// or a chosen part of it, with what belongs to it.
//
// A copy has three steps. Load reads the documents of the image from the source.
// Decide, a pure function, makes a Plan of them: every operation, and the reason
// for each. Run carries the plan out by one queue over the whole graph, children
// before parents, and moves the names last. Image does all three.
package copy
