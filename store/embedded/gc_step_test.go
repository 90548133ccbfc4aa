package embedded

import (
	"testing"
	"time"
)

func TestNextStepTakesAsLongAsItMay(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		allowed, did int
		took         time.Duration
		want         int
	}{
		"as long as it may":                  {200, 200, stepAim, 200},
		"too long":                           {200, 200, 2 * stepAim, 100},
		"too long, with few blobs":           {200, 50, 2 * stepAim, 100},
		"half as long":                       {200, 200, stepAim / 2, 400},
		"no time at all":                     {200, 200, 0, 400},
		"no time at all, with nothing to do": {200, 0, 0, 200},
		"quick, with fewer than allowed":     {200, 199, stepAim / 2, 200},
		"as long as a disk that hangs":       {200, 200, time.Minute, minStepBlobs},
		"no more than the most":              {maxStepBlobs, maxStepBlobs, time.Millisecond, maxStepBlobs},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := nextStep(tc.allowed, tc.did, tc.took); got != tc.want {
				t.Errorf("nextStep: %d, want %d", got, tc.want)
			}
		})
	}
}
