package containerd

import (
	"context"
	"fmt"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/store"
)

// getImage returns the record of that name.
func (s *Store) getImage(ctx context.Context, name string) (store.Record, error) {
	answer, err := s.images.Get(ctx, &imagesapi.GetImageRequest{Name: name})
	if err != nil {
		return store.Record{}, fmt.Errorf("image record %s: %w", strictjson.Quote(name), err)
	}
	r, ours := recordOf(answer.GetImage())
	if !ours {
		return store.Record{}, fmt.Errorf("image record %s is not one of images: %w", strictjson.Quote(name), errdefs.ErrNotFound)
	}
	return r, nil
}

// listImages returns all records. containerd gives them in one message: where that
// would be too large they are asked for by the first characters of their targets.
func (s *Store) listImages(ctx context.Context) ([]store.Record, error) {
	answer, err := s.images.List(ctx, &imagesapi.ListImagesRequest{})
	if errdefs.IsResourceExhausted(err) {
		return s.listImagesBy(ctx, "")
	}
	if err != nil {
		return nil, fmt.Errorf("listing images: %w", err)
	}
	return appendRecords(nil, answer), nil
}

// maxSplit is how many characters of digests are told apart: 65,536 lists.
const maxSplit = 4

// listImagesBy lists those whose target's digest begins so.
func (s *Store) listImagesBy(ctx context.Context, prefix string) (all []store.Record, err error) {
	for _, c := range "0123456789abcdef" {
		begin := prefix + string(c)
		answer, err := s.images.List(ctx, &imagesapi.ListImagesRequest{
			Filters: []string{fmt.Sprintf(`target.digest~="^sha[0-9]+:%s"`, begin)},
		})
		if errdefs.IsResourceExhausted(err) && len(begin) < maxSplit {
			more, err := s.listImagesBy(ctx, begin)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("listing images by digest %s…: %w", begin, err)
		}
		all = appendRecords(all, answer)
	}
	return all, nil
}

func appendRecords(all []store.Record, answer *imagesapi.ListImagesResponse) []store.Record {
	for _, im := range answer.GetImages() {
		if r, ours := recordOf(im); ours {
			all = append(all, r)
		}
	}
	return all
}

// imageOf returns a record in containerd's words.
func imageOf(r store.Record) (*imagesapi.Image, error) {
	labels, err := keptLabels(r.Labels)
	if err != nil {
		return nil, err
	}
	return &imagesapi.Image{Name: nameOf(r.Key()), Target: descriptorOf(r.Target), Labels: labels}, nil
}

// createImage makes a record, and returns it as it is then.
func (s *Store) createImage(ctx context.Context, r store.Record) (store.Record, error) {
	im, err := imageOf(r)
	if err != nil {
		return store.Record{}, err
	}
	answer, err := s.images.Create(ctx, &imagesapi.CreateImageRequest{Image: im})
	if err != nil {
		return store.Record{}, fmt.Errorf("making %s: %w", strictjson.Quote(im.GetName()), err)
	}
	r, _ = recordOf(answer.GetImage())
	return r, nil
}

// updateImage moves a record and, unless they are nil, changes its labels.
func (s *Store) updateImage(ctx context.Context, r store.Record) (store.Record, error) {
	im, err := imageOf(r)
	if err != nil {
		return store.Record{}, err
	}
	mask := &fieldmaskpb.FieldMask{Paths: []string{"target"}}
	if r.Labels != nil {
		mask.Paths = append(mask.Paths, "labels")
	}
	answer, err := s.images.Update(ctx, &imagesapi.UpdateImageRequest{Image: im, UpdateMask: mask})
	if err != nil {
		return store.Record{}, fmt.Errorf("moving %s: %w", strictjson.Quote(im.GetName()), err)
	}
	r, _ = recordOf(answer.GetImage())
	return r, nil
}

// deleteImage removes a record, if it still points where it did.
func (s *Store) deleteImage(ctx context.Context, r store.Record) error {
	_, err := s.images.Delete(ctx, &imagesapi.DeleteImageRequest{Name: nameOf(r.Key()), Target: descriptorOf(r.Target)})
	if err != nil {
		return fmt.Errorf("removing %s: %w", strictjson.Quote(nameOf(r.Key())), err)
	}
	return nil
}
