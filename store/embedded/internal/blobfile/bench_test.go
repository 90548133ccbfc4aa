package blobfile

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// BenchmarkSmallFiles publishes an image's worth of files at a time, a little too large
// for memory, and compares with what a store does that syncs each by itself. All
// directories are there before.
func BenchmarkSmallFiles(b *testing.B) {
	for _, group := range []int{1, 7, 64, 256} {
		data := make([][]byte, group)
		b.Run(fmt.Sprintf("group=%d", group), func(b *testing.B) {
			d, _ := newDir(b)
			makeShards(b, d)
			n := 0
			for b.Loop() {
				b.StopTimer()
				for i := range data {
					data[i] = unique(n, Small+1)
					n++
				}
				b.StartTimer()
				publish(b, d, data...)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/file")
		})
	}
	b.Run("one by one", func(b *testing.B) {
		dir := b.TempDir()
		n := 0
		for b.Loop() {
			b.StopTimer()
			data := unique(n, Small+1)
			n++
			b.StartTimer()
			if err := writeRenamed(dir, digest.FromBytes(data).Encoded(), data); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/file")
	})
}

func makeShards(b *testing.B, d *Dir) {
	b.Helper()
	for i := range 256 {
		p := place{algorithm: digest.SHA256, shard: fmt.Sprintf("%02x", i)}
		shard, err := d.makeShard(p)
		if err != nil {
			b.Fatal(err)
		}
		d.lasting[p.dir()] = true
		shard.close()
	}
}

// unique returns other bytes for each n.
func unique(n, size int) []byte {
	return fmt.Appendf(randomBytes(byte(n), size)[:size-8], "%08d", n)
}

// writeRenamed is the protocol of most: a temporary file, its sync, the rename, the sync
// of the directory.
func writeRenamed(dir, name string, data []byte) error {
	f, err := os.CreateTemp(dir, "tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close(), os.Rename(f.Name(), filepath.Join(dir, name)))
	if err != nil {
		return err
	}
	h, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Sync()
}

// BenchmarkSmallContent is what content costs that goes into the database: no file.
func BenchmarkSmallContent(b *testing.B) {
	d, _ := newDir(b)
	data := randomBytes(1, 4<<10)
	for b.Loop() {
		if err := filled(b, d, data).Abort(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReading is what it costs to look for a blob, and to read it, which hashes it.
func BenchmarkReading(b *testing.B) {
	d, _ := newDir(b)
	data := randomBytes(1, 16<<20)
	publish(b, d, data)
	blob, size := digest.FromBytes(data), int64(len(data))
	b.Run("Stat", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := d.Stat(blob); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("OpenAt", func(b *testing.B) {
		for b.Loop() {
			if err := openAt(b.Context(), d, blob, size); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Open and read", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			r, err := d.Open(b.Context(), blob, size, 0)
			if err != nil {
				b.Fatal(err)
			}
			_, err = io.Copy(io.Discard, r)
			if err := errors.Join(err, r.Close()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkTrash removes a thousand blobs: what it takes under a lock, and outside of it.
func BenchmarkTrash(b *testing.B) {
	const n = 1000
	d, _ := newDir(b)
	makeShards(b, d)
	var trash, emptied time.Duration
	for b.Loop() {
		b.StopTimer()
		var blobs []digest.Digest
		var files []*Ingest
		for i := range n {
			data := fmt.Append(nil, i)
			blobs = append(blobs, digest.FromBytes(data))
			files = append(files, filled(b, d, data))
		}
		if err := d.Publish(b.Context(), files); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		begin := time.Now()
		if err := d.Trash(blobs); err != nil {
			b.Fatal(err)
		}
		trash += time.Since(begin)
		begin = time.Now()
		if err := empty(d); err != nil {
			b.Fatal(err)
		}
		emptied += time.Since(begin)
	}
	b.ReportMetric(float64(trash.Microseconds())/float64(n*b.N), "µs-Trash/file")
	b.ReportMetric(float64(emptied.Microseconds())/float64(n*b.N), "µs-Empty/file")
}

// BenchmarkLargeFile writes DHOW_BENCH_BYTES, 256 MiB by default, in turns with cp, sync
// and one pass of SHA-256, and reports the ratio.
func BenchmarkLargeFile(b *testing.B) {
	size := int64(256 << 20)
	if s := os.Getenv("DHOW_BENCH_BYTES"); s != "" {
		if _, err := fmt.Sscan(s, &size); err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	source := filepath.Join(dir, "source")
	blob := makeSource(b, source, size)
	for name, wrap := range map[string]func(*os.File) io.ReadCloser{
		"read":   func(f *os.File) io.ReadCloser { return struct{ io.ReadCloser }{f} },
		"copied": func(f *os.File) io.ReadCloser { return fileSource{f} },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			var ours, theirs time.Duration
			for b.Loop() {
				d, _ := newDir(b)
				d.shares = name == "copied"
				begin := time.Now()
				in := create(b, d, "ref")
				err := in.Fill(b.Context(), blob, size, func(context.Context, int64) (io.ReadCloser, error) {
					f, err := os.Open(source)
					return wrap(f), err
				})
				if err := errors.Join(err, d.Publish(b.Context(), []*Ingest{in})); err != nil {
					b.Fatal(err)
				}
				ours += time.Since(begin)
				b.StopTimer()
				if err := errors.Join(d.Trash([]digest.Digest{blob}), empty(d)); err != nil {
					b.Fatal(err)
				}
				theirs += copyAndSync(b, source, filepath.Join(dir, "copy"))
				b.StartTimer()
			}
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "of-cp+sync+sha256")
		})
	}
}

func empty(d *Dir) error {
	_, _, err := d.Empty(context.Background())
	return err
}

func makeSource(b *testing.B, path string, size int64) digest.Digest {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	h := sha256.New()
	for n := int64(0); n < size; n += 1 << 20 {
		if _, err := io.MultiWriter(f, h).Write(randomBytes(byte(n>>20), 1<<20)); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		b.Fatal(err)
	}
	return digest.NewDigest(digest.SHA256, h)
}

func copyAndSync(b *testing.B, from, to string) time.Duration {
	b.Helper()
	begin := time.Now()
	for _, args := range [][]string{{"cp", from, to}, {"sync", "-f", to}} {
		if out, err := exec.CommandContext(b.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			b.Skipf("%v: %v %s", args, err, out)
		}
	}
	f, err := os.Open(from)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(sha256.New(), f); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begin)
	if err := os.Remove(to); err != nil {
		b.Fatal(err)
	}
	return took
}
