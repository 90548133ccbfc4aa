package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
)

// History is how an instance was made, as its config says.
type History struct {
	// Resolution is how the image was found.
	Resolution
	Instance Instance
	// Lines are the steps, the last one first.
	Lines []HistoryLine
}

// HistoryLine is one step. All of it is data from the image.
type HistoryLine struct {
	Created   time.Time // zero where it does not say
	CreatedBy string
	Comment   string
	// Layer is the layer that the step has made, and Size the bytes of its blob, which
	// need not be there; empty and 0 for a step without.
	Layer digest.Digest
	Size  int64
	// Names are those of the image's records, in the first line; else none.
	Names []string
}

// History returns the history of the instance for a platform, by the row History of the
// table in package platform and the platforms of the configs. The config has to be there,
// layers need not be. Where a config has fewer steps with a layer than the manifest has
// layers, those at the end are lines of their own; steps that are too many have none.
// Warnings say so. Errors are those of Get, and ErrInvalidArgument for a config that cannot
// be decoded.
func (s *Service) History(ctx context.Context, reference string, asked *ocispec.Platform) (History, error) {
	for lost := digest.Digest(""); ; {
		var h History
		var layers []ocispec.Descriptor
		err := s.view(ctx, func(v *view) (err error) {
			h, layers, err = v.history(reference, asked)
			return err
		})
		if err != nil {
			return History{}, err
		}
		data, err := s.read(ctx, h.Instance.Config, s.opts.Limits.ConfigBytes)
		if errdefs.IsNotFound(err) && lost != h.Instance.Config { // collected since: as in Get
			lost = h.Instance.Config
			continue
		}
		if err == nil {
			err = s.lines(&h, data, layers)
		}
		if err != nil {
			return History{}, fmt.Errorf("history of %.256q: config %s: %w", reference, h.Instance.Config, err)
		}
		return h, nil
	}
}

// history finds the instance and its layers.
func (v *view) history(reference string, asked *ocispec.Platform) (History, []ocispec.Descriptor, error) {
	sub, err := v.subject(reference)
	if err != nil {
		return History{}, nil, err
	}
	r := getRule(platform.History)
	r.serves = hasConfig
	inst, err := v.best(sub, r, asked)
	if err != nil {
		return History{}, nil, err
	}
	h := History{Resolution: sub.Resolution, Instance: *inst}
	records, err := v.Target(sub.Record.Target.Digest)
	if err != nil {
		return History{}, nil, err
	}
	h.Lines = []HistoryLine{{}}
	for _, rec := range records {
		if !rec.Dangling() {
			h.Lines[0].Names = append(h.Lines[0].Names, rec.Name)
		}
	}
	var layers []ocispec.Descriptor
	for _, e := range sub.graph.find(inst.Descriptor.Digest).facts.Edges {
		if e.Role == image.RoleLayer {
			layers = append(layers, e.Desc)
		}
	}
	return h, layers, nil
}

// lines adds what a config says to a history.
func (s *Service) lines(h *History, data []byte, layers []ocispec.Descriptor) error {
	config, err := image.DecodeConfig(data, s.opts.Limits)
	if err != nil {
		return err
	}
	names := h.Lines[0].Names
	h.Lines = h.Lines[:0]
	surplus := 0
	for _, step := range config.History {
		line := HistoryLine{CreatedBy: step.CreatedBy, Comment: step.Comment}
		if t, err := time.Parse(time.RFC3339Nano, step.Created); err == nil {
			line.Created = t.UTC()
		}
		switch {
		case step.EmptyLayer:
		case len(layers) == 0:
			surplus++
		default:
			line.Layer, line.Size, layers = layers[0].Digest, max(layers[0].Size, 0), layers[1:]
		}
		h.Lines = append(h.Lines, line)
	}
	if surplus > 0 {
		h.Warnings = append(h.Warnings, fmt.Sprintf("the history has %d steps with a layer that the manifest does not have", surplus))
	}
	if len(layers) > 0 {
		h.Warnings = append(h.Warnings, fmt.Sprintf("the history does not tell of %d layers", len(layers)))
	}
	for _, layer := range layers {
		h.Lines = append(h.Lines, HistoryLine{Layer: layer.Digest, Size: max(layer.Size, 0)})
	}
	slices.Reverse(h.Lines)
	if len(h.Lines) > 0 {
		h.Lines[0].Names = names
	}
	return nil
}
