package image

import (
	"net/url"
	"strings"
	"time"
)

// The shapes of the documents that conversion makes, after the JSON schemas of
// OCI's image specification 1.1.

var (
	stringShape    = &shape{kind: kindString}
	nameShape      = &shape{kind: kindString, accept: isNotEmpty, form: "a name"}
	boolShape      = &shape{kind: kindBoolean}
	numberShape    = &shape{kind: kindNumber}
	stringsShape   = &shape{kind: kindArray, each: stringShape}
	stringMapShape = &shape{kind: kindObject, each: stringShape}
	commandShape   = &shape{kind: kindArray, each: stringShape, nullable: true, lone: true}
	setShape       = &shape{kind: kindObject, each: &shape{kind: kindObject}}
	timeShape      = &shape{kind: kindString, accept: isStrictTime, form: "a time as of RFC 3339"}
	typeShape      = &shape{kind: kindString, accept: isStrictMediaType, form: "a media type as of RFC 6838"}
	urlsShape      = &shape{kind: kindArray, each: &shape{kind: kindString, accept: isURI, form: "a URI"}}
)

var ociConfigShape = &shape{
	kind:     kindObject,
	required: []string{"architecture", "os", "rootfs"},
	fields: map[string]*shape{
		"created":      timeShape,
		"author":       stringShape,
		"architecture": nameShape,
		"variant":      stringShape,
		"os":           nameShape,
		"os.version":   stringShape,
		"os.features":  stringsShape,
		"config": {kind: kindObject, fields: map[string]*shape{
			"User":         stringShape,
			"ExposedPorts": setShape,
			"Env":          stringsShape,
			"Entrypoint":   commandShape,
			"Cmd":          commandShape,
			"Volumes":      {kind: kindObject, each: &shape{kind: kindObject}, nullable: true},
			"WorkingDir":   stringShape,
			"Labels":       {kind: kindObject, each: stringShape, nullable: true},
			"StopSignal":   stringShape,
			"ArgsEscaped":  boolShape,
		}},
		"rootfs": {kind: kindObject, required: []string{"type", "diff_ids"}, fields: map[string]*shape{
			"type":     {kind: kindString, accept: isLayers, form: `"layers"`},
			"diff_ids": stringsShape,
		}},
		"history": {kind: kindArray, each: &shape{kind: kindObject, fields: map[string]*shape{
			"created":     timeShape,
			"author":      stringShape,
			"created_by":  stringShape,
			"comment":     stringShape,
			"empty_layer": boolShape,
		}}},
	},
}

// descriptorShape has the platform that only an index knows; elsewhere it does no
// harm.
var descriptorShape = &shape{
	kind:     kindObject,
	required: []string{"mediaType", "digest", "size"},
	// Without its platform, an entry would be taken for that of any.
	strict: []string{"platform"},
	fields: map[string]*shape{
		"mediaType":    typeShape,
		"digest":       stringShape,
		"size":         numberShape,
		"urls":         urlsShape,
		"data":         stringShape,
		"artifactType": typeShape,
		"annotations":  stringMapShape,
		"platform": {
			kind:     kindObject,
			required: []string{"architecture", "os"},
			fields: map[string]*shape{
				"architecture": stringShape,
				"os":           stringShape,
				"os.version":   stringShape,
				"os.features":  stringsShape,
				"variant":      stringShape,
			},
		},
	},
}

// The members of documents that only OCI knows are not among these: none of them
// comes out of a Docker document.
var (
	ociIndexShape = &shape{
		kind:     kindObject,
		required: []string{"schemaVersion", "manifests"},
		fields:   map[string]*shape{"manifests": {kind: kindArray, each: descriptorShape}},
	}
	ociManifestShape = &shape{
		kind:     kindObject,
		required: []string{"schemaVersion", "config", "layers"},
		fields: map[string]*shape{
			"config": descriptorShape,
			"layers": {kind: kindArray, each: descriptorShape, least: 1},
		},
	}
)

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
