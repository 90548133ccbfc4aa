package catalog

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// elements checks the elements of a page that is pointed at, shows those of a leaf, and
// returns what they point at: the children of a branch, and the roots of buckets.
func elements(page []byte, flags uint16, count int, at pointer, show func(element)) (below []pointer, err error) {
	if pageHeader+count*pageElement > len(page) {
		return nil, unsound("it has no room for %d keys", count)
	}
	var before []byte
	for i := range count {
		e, ok := parseElement(page, i, flags)
		if !ok {
			return below, unsound("key %d is outside of it", i)
		}
		if i > 0 && bytes.Compare(before, e.key) >= 0 || !at.has(e.key) {
			return below, unsound("key %d is not in order", i)
		}
		before = e.key
		if flags == flagBranch {
			below = branch(below, e, at)
			continue
		}
		if show != nil {
			show(e)
		}
		if !e.bucket {
			continue
		}
		root, err := e.root()
		if err != nil {
			return below, err
		}
		if root != 0 {
			below = append(below, pointer{page: root, depth: at.depth + 1, bucket: true})
		}
	}
	return below, nil
}

// branch adds a child of a branch to those before it.
func branch(below []pointer, e element, at pointer) []pointer {
	child := pointer{page: e.child, depth: at.depth + 1, from: bytes.Clone(e.key), to: at.to}
	if n := len(below); n > 0 {
		below[n-1].to = child.from
	}
	return append(below, child)
}

// has reports whether a key is between those that the page is to have.
func (at pointer) has(key []byte) bool {
	return bytes.Compare(at.from, key) <= 0 && (at.to == nil || bytes.Compare(key, at.to) < 0)
}

// element is an element of a page: a key, and what it stands for.
type element struct {
	key, value []byte
	child      uint64 // in a branch
	bucket     bool   // the value is that of a bucket
}

// root is bucketRoot of an element that is a bucket.
func (e element) root() (uint64, error) {
	root, err := bucketRoot(e.value, nil)
	if err != nil {
		err = fmt.Errorf("bucket %.64q: %w", e.key, err)
	}
	return root, err
}

// parseElement reads an element of a page that has room for its header.
func parseElement(page []byte, i int, flags uint16) (element, bool) {
	at := pageHeader + i*pageElement
	e := page[at : at+pageElement]
	first, second := binary.NativeEndian.Uint32(e), binary.NativeEndian.Uint32(e[4:])
	pos, keySize, valueSize := uint64(first), uint64(second), uint64(0)
	if flags == flagLeaf {
		pos, keySize, valueSize = uint64(second), uint64(binary.NativeEndian.Uint32(e[8:])), uint64(binary.NativeEndian.Uint32(e[12:]))
	}
	begin := uint64(at) + pos //nolint:gosec // not negative
	if pos < pageElement || begin+keySize+valueSize > uint64(len(page)) {
		return element{}, false
	}
	value := begin + keySize
	found := element{key: page[begin:value:value], value: page[value : value+valueSize : value+valueSize]}
	if flags == flagBranch {
		found.child = binary.NativeEndian.Uint64(e[8:])
	} else {
		found.bucket = first&elementBucket != 0
	}
	return found, true
}

// bucketRoot returns the root page of a bucket; 0 if its keys are in the value itself,
// which are shown.
func bucketRoot(value []byte, show func(element)) (uint64, error) {
	if len(value) < bucketHeader {
		return 0, unsound("it has %d bytes", len(value))
	}
	root := binary.NativeEndian.Uint64(value)
	if root != 0 {
		return root, nil
	}
	page := value[bucketHeader:]
	if len(page) < pageHeader || binary.NativeEndian.Uint16(page[8:]) != flagLeaf {
		return 0, unsound("its page is no leaf")
	}
	below, err := elements(page, flagLeaf, int(binary.NativeEndian.Uint16(page[10:])), pointer{}, show)
	if err == nil && len(below) > 0 {
		err = unsound("there are buckets in it")
	}
	return 0, err
}
