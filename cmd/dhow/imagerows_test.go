package main

import (
	"testing"

	"github.com/dhowhq/dhow/service"
)

// TestPlatformCount counts no image as complete of which a whole list is not there.
func TestPlatformCount(t *testing.T) {
	t.Parallel()
	here := service.Instance{Kind: service.KindImage, Presence: service.Complete}
	for want, further := range map[string]service.Instance{
		"2/2": here,
		"1/2": {Kind: service.KindList, Presence: service.Absent},
		"1/1": {Kind: service.KindAttestation, Presence: service.Absent},
	} {
		if got := platformCount([]service.Instance{here, further}); got != want {
			t.Errorf("with one more, which is %s and %s: %s, want %s", further.Kind, further.Presence, got, want)
		}
	}
}
