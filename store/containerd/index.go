package containerd

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
)

// index finds records in memory. Its fields are read under a read lock, which a View
// holds, and written under the other.
type index struct {
	mu         sync.RWMutex
	records    map[string]*entry // by key
	order      []string          // the keys, as orderOf sorts them
	targets    map[digest.Digest]keys
	containing map[digest.Digest]keys
	awaiting   map[digest.Digest]keys // by image configs that are not known
	repository map[string]keys
	digests    map[digest.Algorithm][]digest.Digest // of containing, sorted
}

// entry is a record and what it is found by.
type entry struct {
	store.Record
	ids    []digest.Digest
	awaits []digest.Digest // image configs by which it is found once they are known
}

// keys is a set of keys of records.
type keys map[string]struct{}

func newIndex() *index {
	x := &index{}
	x.clear()
	return x
}

func (x *index) clear() {
	x.records, x.order = map[string]*entry{}, nil
	x.targets, x.containing = map[digest.Digest]keys{}, map[digest.Digest]keys{}
	x.awaiting, x.repository = map[digest.Digest]keys{}, map[string]keys{}
	x.digests = map[digest.Algorithm][]digest.Digest{}
}

// orderOf returns what sorts as List sorts keys: dangling records first.
func orderOf(key string) string {
	if strings.HasPrefix(key, "@") {
		return "\x00" + key
	}
	return key
}

func byOrder(a, b string) int { return strings.Compare(orderOf(a), orderOf(b)) }

// replace has the index hold these records and no others.
func (x *index) replace(entries []*entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.clear()
	for _, e := range entries {
		x.add(e)
	}
	x.order = slices.SortedFunc(maps.Keys(x.records), byOrder)
	for d := range x.containing {
		x.digests[d.Algorithm()] = append(x.digests[d.Algorithm()], d)
	}
	for _, all := range x.digests {
		slices.Sort(all)
	}
}

// change takes the place of records by their keys; nil removes one. It returns what no
// record contains any more.
func (x *index) change(changes map[string]*entry) (lost []digest.Digest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for key, e := range changes {
		if old := x.records[key]; old != nil {
			x.remove(old)
			for _, d := range old.ids {
				if len(x.containing[d]) == 0 {
					x.digests[d.Algorithm()] = without(x.digests[d.Algorithm()], d)
					lost = append(lost, d)
				}
			}
		} else if e != nil {
			i, _ := slices.BinarySearchFunc(x.order, key, byOrder)
			x.order = slices.Insert(x.order, i, key)
		}
		if e != nil {
			x.add(e)
			for _, d := range e.ids {
				x.digests[d.Algorithm()] = with(x.digests[d.Algorithm()], d)
			}
		} else if i, found := slices.BinarySearchFunc(x.order, key, byOrder); found {
			x.order = slices.Delete(x.order, i, i+1)
		}
	}
	return slices.DeleteFunc(lost, func(d digest.Digest) bool { return len(x.containing[d]) > 0 })
}

// with and without change a sorted list.
func with(all []digest.Digest, d digest.Digest) []digest.Digest {
	if i, found := slices.BinarySearch(all, d); !found {
		return slices.Insert(all, i, d)
	}
	return all
}

func without(all []digest.Digest, d digest.Digest) []digest.Digest {
	if i, found := slices.BinarySearch(all, d); found {
		return slices.Delete(all, i, i+1)
	}
	return all
}

// repositoryOf returns the repository of a record; empty for a dangling one.
func repositoryOf(r store.Record) string {
	if named, err := ref.Parse(r.Name); r.Name != "" && err == nil {
		return named.Name()
	}
	return ""
}

// add and remove change the maps, but neither order nor digests.
func (x *index) add(e *entry) {
	key := e.Key()
	x.records[key] = e
	put(x.targets, e.Target.Digest, key)
	for _, d := range e.ids {
		put(x.containing, d, key)
	}
	for _, d := range e.awaits {
		put(x.awaiting, d, key)
	}
	if name := repositoryOf(e.Record); name != "" {
		put(x.repository, name, key)
	}
}

func (x *index) remove(e *entry) {
	key := e.Key()
	delete(x.records, key)
	drop(x.targets, e.Target.Digest, key)
	for _, d := range e.ids {
		drop(x.containing, d, key)
	}
	for _, d := range e.awaits {
		drop(x.awaiting, d, key)
	}
	if name := repositoryOf(e.Record); name != "" {
		drop(x.repository, name, key)
	}
}

func put[K comparable](m map[K]keys, k K, key string) {
	if m[k] == nil {
		m[k] = keys{}
	}
	m[k][key] = struct{}{}
}

func drop[K comparable](m map[K]keys, k K, key string) {
	delete(m[k], key)
	if len(m[k]) == 0 {
		delete(m, k)
	}
}

// named returns the keys of the names, not dangling ones, that point at a digest.
func (x *index) named(d digest.Digest) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var names []string
	for key := range x.targets[d] {
		if !x.records[key].Dangling() {
			names = append(names, key)
		}
	}
	return names
}

// above returns the records that contain a digest, or would if it were that of an image
// config which is known.
func (x *index) above(d digest.Digest) []store.Record {
	x.mu.RLock()
	defer x.mu.RUnlock()
	found := maps.Clone(x.containing[d])
	if found == nil {
		found = keys{}
	}
	maps.Copy(found, x.awaiting[d])
	all := make([]store.Record, 0, len(found))
	for key := range found {
		all = append(all, x.records[key].Record)
	}
	return all
}

// newEntry returns a record with what it is found by: the documents that are known.
func (s *Store) newEntry(r store.Record) *entry {
	found, awaited := set{r.Target.Digest: {}}, set{}
	s.docs.mu.RLock()
	defer s.docs.mu.RUnlock()
	s.ids(found, awaited, r.Target.Digest)
	return &entry{Record: r, ids: slices.Collect(maps.Keys(found)), awaits: slices.Collect(maps.Keys(awaited))}
}

// ids adds what is below a document, which is in found already.
func (s *Store) ids(found, awaited set, d digest.Digest) {
	for _, e := range s.docs.known[d].Edges {
		below := e.Desc.Digest
		if _, seen := found[below]; seen || e.Role == image.RoleLayer || e.Role == image.RoleOpaque {
			continue
		}
		if _, known := s.docs.known[below]; e.Role == image.RoleConfig && !known {
			if isImageConfig(e.Desc.MediaType) { // not there, or cannot be read
				awaited[below] = struct{}{}
			}
			continue
		}
		found[below] = struct{}{}
		s.ids(found, awaited, below)
	}
}

// reindex looks again at what records contain.
func (s *Store) reindex(records ...store.Record) {
	changes := map[string]*entry{}
	for _, r := range records {
		changes[r.Key()] = s.newEntry(r)
	}
	s.change(changes)
}

// change changes the index, and forgets the documents that nothing in it contains any more.
func (s *Store) change(changes map[string]*entry) { s.docs.drop(s.index.change(changes)) }
