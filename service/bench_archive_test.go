package service_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/service"
)

// benchImage opens a store with an image of two platforms of four layers each, which cannot
// be compressed: 16 MiB of them, and in the long tier 512 MiB.
func benchImage(b *testing.B) *fixture {
	b.Helper()
	layer := 2 << 20
	if os.Getenv("DHOW_TEST_LONG") == "1" {
		layer = 64 << 20
	}
	f := newFixture(b, amd64)
	one := f.src.Image(testimage.Image{Platform: parsePlatform(b, "linux/amd64"), Layers: 4, LayerSize: layer})
	two := f.src.Image(testimage.Image{Platform: parsePlatform(b, "linux/arm64"), Layers: 4, LayerSize: layer})
	f.put(b, f.src.Index(one, two), "app:1")
	return f
}

// BenchmarkSave saves an image to nowhere: what is measured is reading, hashing and the
// archive.
func BenchmarkSave(b *testing.B) {
	f := benchImage(b)
	data, _ := f.save(b, service.SaveOptions{}, "app:1")
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := f.Save(context.Background(), io.Discard, []string{"app:1"}, service.SaveOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad loads an image into a store that has nothing of it, from a file, which is
// read where it is, and from a pipe.
func BenchmarkLoad(b *testing.B) {
	f := benchImage(b)
	data, _ := f.save(b, service.SaveOptions{}, "app:1")
	path := filepath.Join(b.TempDir(), "app.tar")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
	load := func(b *testing.B, reader func(*os.File) io.Reader) {
		b.Helper()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			b.StopTimer()
			dir := filepath.Join(b.TempDir(), "store")
			to, end := openFixture(b, dir)
			file, err := os.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			loaded, err := to.Load(context.Background(), reader(file), service.LoadOptions{})
			b.StopTimer()
			if err != nil || len(loaded.Images) != 1 || loaded.Images[0].Reused != 0 {
				b.Fatalf("%+v, %v", loaded, err)
			}
			end()
			if err := errors.Join(file.Close(), os.RemoveAll(dir)); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
	b.Run("file", func(b *testing.B) { load(b, func(file *os.File) io.Reader { return file }) })
	b.Run("pipe", func(b *testing.B) { load(b, func(file *os.File) io.Reader { return struct{ io.Reader }{file} }) })
}
