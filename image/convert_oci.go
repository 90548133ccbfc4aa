package image

import (
	"net/url"
	"strings"
	"time"
)

// The shapes of the documents that conversion makes, after the JSON schemas of
// OCI's image specification 1.1.

func ociConfigShape() *shape {
	text, texts := &shape{kind: kindString}, &shape{kind: kindArray, each: &shape{kind: kindString}}
	// The schema lets these be empty, but then nothing could run the image.
	name := &shape{kind: kindString, accept: isNotEmpty, form: "a name"}
	flag := &shape{kind: kindBoolean}
	dateTime := &shape{kind: kindString, accept: isStrictTime, form: "a time as of RFC 3339"}
	// Early Docker wrote a string for a command of one word.
	command := &shape{kind: kindArray, each: text, nullable: true, lone: true}
	set := &shape{kind: kindObject, each: &shape{kind: kindObject, null: "{}"}}
	volumes := *set
	volumes.nullable = true

	return &shape{
		kind:     kindObject,
		required: []string{"architecture", "os", "rootfs"},
		fields: map[string]*shape{
			"created":      dateTime,
			"author":       text,
			"architecture": name,
			"variant":      text,
			"os":           name,
			"os.version":   text,
			"os.features":  texts,
			"config": {kind: kindObject, fields: map[string]*shape{
				"User":         text,
				"ExposedPorts": set,
				"Env":          texts,
				"Entrypoint":   command,
				"Cmd":          command,
				"Volumes":      &volumes,
				"WorkingDir":   text,
				"Labels":       {kind: kindObject, each: &shape{kind: kindString, null: `""`}, nullable: true},
				"StopSignal":   text,
				"ArgsEscaped":  flag,
			}},
			"rootfs": {kind: kindObject, required: []string{"type", "diff_ids"}, fields: map[string]*shape{
				"type":     {kind: kindString, accept: isLayers, form: `"layers"`},
				"diff_ids": texts,
			}},
			"history": {kind: kindArray, each: &shape{kind: kindObject, fields: map[string]*shape{
				"created":     dateTime,
				"author":      text,
				"created_by":  text,
				"comment":     text,
				"empty_layer": flag,
			}}},
		},
	}
}

// ociDescriptorShape has the platform, which only an index knows: elsewhere it does
// no harm.
func ociDescriptorShape() *shape {
	text := &shape{kind: kindString}
	mediaType := &shape{kind: kindString, accept: isStrictMediaType, form: "a media type as of RFC 6838"}
	return &shape{
		kind:     kindObject,
		required: []string{"mediaType", "digest", "size"},
		// Without its platform, an entry would be taken for that of any.
		strict: []string{"platform"},
		fields: map[string]*shape{
			"mediaType":    mediaType,
			"digest":       text,
			"size":         {kind: kindNumber},
			"urls":         {kind: kindArray, each: &shape{kind: kindString, accept: isURI, form: "a URI"}},
			"data":         text,
			"artifactType": mediaType,
			"annotations":  {kind: kindObject, each: text},
			"platform": {kind: kindObject, required: []string{"architecture", "os"}, fields: map[string]*shape{
				"architecture": text,
				"os":           text,
				"os.version":   text,
				"os.features":  {kind: kindArray, each: text},
				"variant":      text,
			}},
		},
	}
}

// In the shapes of documents, those members are missing that only OCI knows: none of
// them comes out of a Docker document.

func ociIndexShape() *shape {
	return &shape{
		kind:     kindObject,
		required: []string{"schemaVersion", "manifests"},
		fields:   map[string]*shape{"manifests": {kind: kindArray, each: ociDescriptorShape()}},
	}
}

func ociManifestShape() *shape {
	descriptor := ociDescriptorShape()
	return &shape{
		kind:     kindObject,
		required: []string{"schemaVersion", "config", "layers"},
		fields: map[string]*shape{
			"config": descriptor,
			"layers": {kind: kindArray, each: descriptor, least: 1},
		},
	}
}

func isNotEmpty(s string) bool { return s != "" }

func isLayers(s string) bool { return s == "layers" }

// isStrictTime is stricter than time.Parse, as readers of the schema are.
func isStrictTime(s string) bool {
	var t time.Time
	return t.UnmarshalText([]byte(s)) == nil
}

func isURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.IsAbs()
}

// isStrictMediaType keeps to the names of RFC 6838, where isMediaType takes what
// is found in the wild.
func isStrictMediaType(s string) bool {
	kind, sub, ok := strings.Cut(s, "/")
	return ok && isRestrictedName(kind) && isRestrictedName(sub)
}

func isRestrictedName(s string) bool {
	alphanumeric := func(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' }
	return len(s) <= 127 && onlyHas(s, func(c byte) bool {
		return alphanumeric(c) || strings.IndexByte("!#$&^_.+-", c) >= 0
	}) && alphanumeric(s[0])
}
