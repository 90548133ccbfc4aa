package text

import (
	"testing"
	"time"
)

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	for age, want := range map[string]string{
		"-5s": "now", "999ms": "now", "1s": "1 second ago", "119s": "119 seconds ago", "2m": "2 minutes ago", "119m": "119 minutes ago", "2h": "2 hours ago",
		"47h59m": "47 hours ago", "48h": "2 days ago", "336h": "2 weeks ago", "1440h": "2 months ago", "17519h": "24 months ago", "17520h": "2 years ago",
	} {
		d, err := time.ParseDuration(age)
		if err != nil {
			t.Fatal(err)
		}
		if got := Ago(now.Add(-d), now); got != want {
			t.Errorf("%s: %q, want %q", age, got, want)
		}
	}
	if got := Ago(time.Time{}, now); got != "" {
		t.Errorf("a time that is not known: %q", got)
	}
	if got := Ago(time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), now); got != "292 years ago" {
		t.Errorf("a time very long ago: %q", got)
	}
}
