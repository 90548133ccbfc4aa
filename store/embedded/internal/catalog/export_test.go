package catalog

// SetManyRoots replaces manyRoots.
func (db *DB) SetManyRoots(n int) { db.manyRoots = n }

// Touched returns how many blobs were touched, and the roots above them are yet to be drawn.
func (t *Tx) Touched() int { return len(t.rests(bucketTouched, nil, 0)) }
