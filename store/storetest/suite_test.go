package storetest

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestMemory shows that there is a store that passes the suite.
func TestMemory(t *testing.T) {
	Run(t, Factory{New: func(testing.TB) Place { return memoryPlace("") }})
}

// mutants are what a store may do wrong, and the groups of tests that find it.
var mutants = map[string]string{
	"Put publishes":                        "blobs",
	"digests are not checked":              "blobs",
	"reads begin at 0":                     "blobs",
	"nothing is resumed":                   "blobs",
	"batches share nothing":                "blobs",
	"Publish is not undone":                "blobs",
	"sizes are not committed":              "writers",
	"many write under one ref":             "writers",
	"damaged bytes are read":               "damage",
	"what is there is believed":            "damage",
	"a manifest has no platform":           "facts",
	"bad documents are taken":              "facts",
	"nothing dangles":                      "names",
	"what dangles stays":                   "names",
	"names move one by one":                "names",
	"conditions are not looked at":         "names",
	"any name is one":                      "names",
	"layers are IDs":                       "lookups",
	"absent platforms are not IDs":         "lookups",
	"prefixes are of whole bytes":          "lookups",
	"repositories are prefixes":            "lookups",
	"dangling records are sorted as names": "lookups",
	"a view is of many moments":            "lookups",
	"only what is there has referrers":     "lookups",
	"leases do not expire":                 "leases",
	"only what is there is held":           "leases",
	"lists hold nothing":                   "gc",
	"batches hold nothing":                 "gc races",
	"readers hold nothing":                 "gc races",
	"nothing is collected":                 "gc races",
	"bytes are not counted":                "gc",
	"referrers go":                         "gc",
	"everything is examined":               "gc",
	"parts are dropped one by one":         "drop",
	"others' parts are dropped":            "drop",
	"a kill undoes names":                  "crash",
	"a kill shows what was complete":       "crash",
	"contexts are not heeded":              "cancel",
}

// mutantVariable is set, to a mutant and a group, in a process that tests a mutant.
const mutantVariable = "DHOW_TEST_MUTANT"

// TestMutants shows that each group of tests fails a store that does something wrong.
// Each mutant has a process of its own, so only the long tests try all of them.
func TestMutants(t *testing.T) {
	if os.Getenv(mutantVariable) != "" {
		t.Skip("this process tests one mutant")
	}
	found := map[string]bool{}
	for _, mutant := range slices.Sorted(maps.Keys(mutants)) {
		for group := range strings.FieldsSeq(mutants[mutant]) {
			if found[group] && os.Getenv("DHOW_TEST_LONG") == "" {
				continue
			}
			found[group] = true
			t.Run(mutant+" in "+group, func(t *testing.T) {
				t.Parallel()
				wantKilled(t, mutant, group)
			})
		}
	}
	for group := range (Factory{}).groups() {
		if !found[group] {
			t.Errorf("no mutant is for the group %s", group)
		}
	}
}

// wantKilled checks that a group of tests fails for a mutant.
func wantKilled(t *testing.T, mutant, group string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestMutant$", "-test.failfast")
	cmd.Env = append(os.Environ(), mutantVariable+"="+mutant+":"+group)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--- FAIL: TestMutant/") {
		t.Errorf("the tests of %s do not fail: %v\n%s", group, err, out)
	}
}

// TestMutant tests one mutant by one group, in a process of its own.
func TestMutant(t *testing.T) {
	mutant, group, ok := strings.Cut(os.Getenv(mutantVariable), ":")
	if !ok {
		t.Skip("for TestMutants")
	}
	for name, test := range (Factory{New: func(testing.TB) Place { return memoryPlace(mutant) }, Operations: 5000}).groups()[group] {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}
