// Package scenario lists what is measured.
package scenario

import (
	"slices"
	"time"

	"github.com/dhowhq/dhow/bench/internal/images"
	"github.com/dhowhq/dhow/bench/internal/tools"
)

// Scenario is a copy that every tool makes.
type Scenario struct {
	Name  string
	Image images.Spec
	Route tools.Route
	// RTT is the round trip to each registry; BytesPerSecond limits each connection to the
	// source, and 0 does not.
	RTT            time.Duration
	BytesPerSecond int64
	// Complete says that everything is at the destination already.
	Complete bool
	// Platform is the only one that is copied, without its list; empty for all.
	Platform string
	// Extra ones are measured only if they are asked for by name.
	Extra bool
	// Tools are those that take part, by their IDs.
	Tools []string
}

// imageSpecs returns what the scenarios are made of.
func imageSpecs() (busybox, medium, large, blob, many images.Spec) {
	return images.Spec{Name: "busybox", Platforms: 11, Layers: 1, LayerSize: 1_090_000},
		images.Spec{Name: "medium", Platforms: 4, Layers: 3, LayerSize: 45_800_000},
		images.Spec{Name: "large", Platforms: 2, Layers: 8, LayerSize: 100_000_000},
		images.Spec{Name: "blob", Layers: 1, LayerSize: 256 << 20},
		images.Spec{Name: "many", Platforms: 3, Layers: 1, LayerSize: 20_000, Tags: 200}
}

// All returns every scenario, in the order of the report.
func All() []Scenario {
	const (
		far   = 40 * time.Millisecond
		limit = 40_000_000
	)
	busybox, medium, large, blob, many := imageSpecs()
	peers := []string{"crane", "regctl", "oras", "skopeo"}
	own := append([]string{"dhow"}, peers...)
	small := append([]string{"dhow", "dhow-bare"}, peers...)
	trusting := append([]string{"dhow", "dhow-dest"}, peers...)
	local := append([]string{"dhow", "dhow-store"}, peers...)
	tuned := []string{"crane-16", "regctl-16", "oras-16"}
	return []Scenario{
		{Name: "busybox", Image: busybox, Route: tools.Registries, Tools: slices.Concat(small, tuned)},
		{Name: "busybox-40ms", Image: busybox, Route: tools.Registries, RTT: far, Tools: slices.Concat(small, tuned)},
		{Name: "medium", Image: medium, Route: tools.Registries, Tools: trusting},
		{Name: "medium-40ms", Image: medium, Route: tools.Registries, RTT: far, Tools: slices.Concat(trusting, tuned)},
		{Name: "large", Image: large, Route: tools.Registries, Tools: trusting},
		{Name: "nothing", Image: busybox, Route: tools.Registries, Complete: true, Tools: small},
		{Name: "nothing-40ms", Image: busybox, Route: tools.Registries, RTT: far, Complete: true, Tools: small},
		{Name: "mount", Image: medium, Route: tools.SameRegistry, Tools: small},
		{Name: "one-busybox", Image: busybox, Route: tools.Registries, Platform: "linux/arm64", Tools: own},
		{Name: "one-medium", Image: medium, Route: tools.Registries, Platform: "linux/arm64", Tools: own},
		{Name: "pull-busybox", Image: busybox, Route: tools.ToLayout, Tools: local},
		{Name: "pull-medium", Image: medium, Route: tools.ToLayout, Tools: local},
		{Name: "pull-large", Image: large, Route: tools.ToLayout, Tools: local},
		{Name: "push-busybox", Image: busybox, Route: tools.FromLayout, Tools: trusting},
		{Name: "push-medium", Image: medium, Route: tools.FromLayout, Tools: trusting},
		{Name: "push-large", Image: large, Route: tools.FromLayout, Tools: trusting},
		{Name: "blob-layout", Image: blob, Route: tools.ToLayout, BytesPerSecond: limit, Tools: own},
		{Name: "blob-registry", Image: blob, Route: tools.Registries, BytesPerSecond: limit, Tools: own},
		{Name: "many", Image: many, Route: tools.Registries, Extra: true, Tools: []string{"dhow-bare", "crane", "regctl", "crane-16", "regctl-16"}},
	}
}
