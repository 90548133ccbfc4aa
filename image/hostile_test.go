package image_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dhowhq/dhow/image"
)

// What decoding a hostile document of hostileBytes may cost.
const (
	hostileMemory = 64 << 20
	hostileTime   = 200 * time.Millisecond
)

// filled returns a document of hostileBytes: unit as often as it fits between before and
// after, the last one without its comma.
func filled(before, unit, after string) []byte {
	n := (hostileBytes - len(before) - len(after)) / len(unit)
	return []byte(before + strings.TrimSuffix(strings.Repeat(unit, n), ",") + after)
}

// named returns a document of hostileBytes with an object of as many names as fit between
// before and after, all with one value.
func named(before, value, after string) []byte {
	b := append(make([]byte, 0, hostileBytes), before...)
	for i := int64(0); len(b)+len(after)+len(value)+16 < hostileBytes; i++ {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(append(b, '"'), i, 36), '"', ':')
		b = append(b, value...)
	}
	return append(b, after...)
}

// hostile returns documents made to cost as much as they can.
func hostile() map[string][]byte {
	entry := expand(`{"mediaType":"$M","digest":"$a","size":5`)
	index := `{"schemaVersion":2,"manifests":[`
	return map[string][]byte{
		"1.4 million empty descriptors":    filled(index, `{},`, `]}`),
		"descriptors":                      filled(index, entry+`},`, `]}`),
		"descriptors with urls":            filled(index, entry+`,"urls":[`+strings.Repeat(`"",`, 90)+`""]},`, `]}`),
		"descriptors with annotations":     filled(index, entry+`,"annotations":{"a":"","b":"","c":"","d":"","e":"","f":"","g":"","h":"","i":""}},`, `]}`),
		"a descriptor with urls":           filled(index+entry+`,"urls":[`, `"",`, `]}]}`),
		"a descriptor with data":           filled(index+entry+`,"data":"`, `A`, `"}]}`),
		"400,000 annotations":              named(`{"schemaVersion":2,"manifests":[],"annotations":{`, `""`, `}}`),
		"one long annotation":              filled(`{"schemaVersion":2,"manifests":[],"annotations":{"`, `a`, `":""}}`),
		"unknown object":                   named(`{"schemaVersion":2,"manifests":[],"x":{`, `0`, `}}`),
		"unknown members":                  named(`{"schemaVersion":2,"manifests":[],`, `0`, `}`),
		"numbers":                          filled(`{"schemaVersion":2,"manifests":[],"x":[`, `0,`, `]}`),
		"objects":                          filled(`{"schemaVersion":2,"manifests":[],"x":[`, `{},`, `]}`),
		"objects with a name":              filled(`{"schemaVersion":2,"manifests":[],"x":[`, `{"":0},`, `]}`),
		"objects with nine names":          filled(`{"schemaVersion":2,"manifests":[],"x":[`, `{"":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0},`, `]}`),
		"arrays":                           filled(`{"schemaVersion":2,"manifests":[],"x":[`, `[],`, `]}`),
		"arrays within arrays":             filled(`{"schemaVersion":2,"manifests":[],"x":[`, strings.Repeat("[", 60)+strings.Repeat("]", 60)+",", `]}`),
		"one long number":                  filled(`{"schemaVersion":`, `1`, `}`),
		"one long string":                  filled(`{"schemaVersion":2,"manifests":[],"x":"`, `a`, `"}`),
		"one long media type, all escaped": filled(`{"schemaVersion":2,"manifests":[],"mediaType":"`, `\u0061`, `"}`),
		"one long name":                    filled(`{"schemaVersion":2,"manifests":[],"`, `a`, `":1}`),
		"space":                            filled(`{"schemaVersion":2,"manifests":[]`, ` `, `}`),
		"nested arrays, 4 million deep":    filled(``, `[`, ``),
		"nested arrays, a million deep":    []byte(`{"schemaVersion":2,"manifests":` + strings.Repeat("[", 1e6)),
		"nested objects":                   filled(``, `{"":`, ``),
		"history":                          filled(`{"history":[`, `{},`, `]}`),
		"diff IDs":                         filled(`{"rootfs":{"diff_ids":[`, expand(`"$a",`), `]}}`),
		"environment":                      filled(`{"config":{"Env":[`, `"",`, `]}}`),
		"labels":                           named(`{"config":{"Labels":{`, `""`, `}}}`),
		"volumes":                          named(`{"config":{"Volumes":{`, `{}`, `}}}`),
		"layers of schema 1":               filled(`{"schemaVersion":1,"fsLayers":[`, expand(`{"blobSum":"$a"},`), `]}`),
		"history of schema 1":              filled(`{"schemaVersion":1,"history":[`, `{"v1Compatibility":"{\"id\":\"`+strings.Repeat("a", 64)+`\"}"},`, `]}`),
		"signatures of schema 1":           filled(`{"schemaVersion":1,"signatures":[`, jws(9, "}")+`,`, `]}`),
	}
}

// TestHostile shows what it costs to decode what is made to cost much. What
// is allocated altogether bounds what is in use at any time.
func TestHostile(t *testing.T) {
	decoders := map[string]func(data []byte) error{
		"as an index": func(data []byte) error {
			_, err := image.Decode(data, as("$I"), image.Limits{})
			return err
		},
		"as guessed": func(data []byte) error {
			_, err := image.Decode(data, image.Declared{}, image.Limits{})
			return err
		},
		"as a config": func(data []byte) error {
			_, err := image.DecodeConfig(data, image.Limits{})
			return err
		},
	}
	for name, data := range hostile() {
		for how, decode := range decoders {
			memory, took := cost(t, func() {
				if err := decode(data); err != nil && len(err.Error()) > 1500 {
					t.Errorf("%s %s: error of %d bytes", name, how, len(err.Error()))
				}
			})
			if testing.Verbose() {
				t.Logf("%-33s %s: %3d MiB, %v", name, how, memory>>20, took.Round(time.Millisecond))
			}
			if memory > hostileMemory {
				t.Errorf("%s %s: %d MiB were allocated, want at most %d", name, how, memory>>20, hostileMemory>>20)
			}
			if took > hostileTime {
				t.Errorf("%s %s: took %v of the processor, want at most %v", name, how, took, hostileTime)
			}
		}
	}
}

// cost runs f and returns what it allocated and how much processor time it took: of
// some runs the least, because the machine has better and worse moments.
func cost(t *testing.T, f func()) (memory uint64, took time.Duration) {
	t.Helper()
	for try := range 10 {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := cpuTime(t)
		f()
		elapsed := cpuTime(t) - start
		runtime.ReadMemStats(&after)
		memory = after.TotalAlloc - before.TotalAlloc
		if try == 0 || elapsed < took {
			took = elapsed
		}
		if took <= hostileTime {
			break
		}
	}
	return memory, took
}
