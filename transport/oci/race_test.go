//go:build race

package oci

import "time"

// manyNamesTime is how long a Commit of many names may take.
const manyNamesTime = 10 * time.Second
