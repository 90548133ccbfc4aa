package text

import "time"

// Ago says for people how long before now a time was, in its largest unit; the zero time is
// not known and prints as nothing.
func Ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	const day = 24 * time.Hour
	age := now.Sub(t)
	for _, unit := range []struct {
		noun string
		of   time.Duration
		from time.Duration // which is said in it
	}{
		{"year", 365 * day, 2 * 365 * day},
		{"month", 30 * day, 60 * day},
		{"week", 7 * day, 14 * day},
		{"day", day, 2 * day},
		{"hour", time.Hour, 2 * time.Hour},
		{"minute", time.Minute, 2 * time.Minute},
		{"second", time.Second, time.Second},
	} {
		if age >= unit.from {
			return Plural(int(age/unit.of), unit.noun) + " ago"
		}
	}
	return "now"
}
