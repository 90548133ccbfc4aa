package image_test

import "github.com/containerd/errdefs"

// configRest ends a config with what OCI requires.
const configRest = `"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`

// configTests are configs of schema 2 manifests that are converted to OCI.
var configTests = []struct {
	name, config string
	want         string // the config made anew; empty: it is kept
	lost         []string
	kind         error
	text         string
}{
	{name: "what OCI requires and no more", config: `{` + configRest},
	{name: "white space is kept", config: "\n{ " + configRest + "\n"},
	{name: "what OCI does not know is kept", config: `{"docker_version":null,"container_config":{"Env":null},` + configRest},
	{name: "null is valid here", config: `{"config":{"Entrypoint":null,"Cmd":null,"Volumes":null,"Labels":null},` + configRest},
	{name: "a time with a zone and a fraction", config: `{"created":"2024-02-29T23:59:59.999999999+14:00",` + configRest},
	{name: "nulls go without a word", config: `{"created":null,"config":{"Env":null,"User":null},"history":null,` + configRest, want: `{"config":{},` + configRest},
	{name: "a null object", config: `{"config":null,` + configRest, want: `{` + configRest},
	{name: "null in a set is what decoders take it for", config: `{"config":{"ExposedPorts":{"80/tcp":null}},` + configRest, want: `{"config":{"ExposedPorts":{"80/tcp":{}}},` + configRest},
	{name: "a null label is empty", config: `{"config":{"Labels":{"a":null}},` + configRest, want: `{"config":{"Labels":{"a":""}},` + configRest},
	{name: "a command in one string", config: `{"config":{"Cmd":"a \u00e9"},` + configRest, want: `{"config":{"Cmd":["a \u00e9"]},` + configRest},
	{
		name: "a time that is none", config: `{"created":"yesterday\n",` + configRest, want: `{` + configRest,
		lost: []string{`the config lost created: it is "yesterday\n", not a time as of RFC 3339`},
	},
	{
		name: "a wrong item takes its list along", config: `{"config":{"Env":["A=1",2]},` + configRest, want: `{"config":{},` + configRest,
		lost: []string{`the config lost config.Env: it has an unfit item 1: it is a number, not a string`},
	},
	{
		name: "wrong members go alone, and equal ones are told once", config: `{"history":[{"created":"","created_by":"a"},{"created":"","created_by":"b"}],` + configRest,
		want: `{"history":[{"created_by":"a"},{"created_by":"b"}],` + configRest,
		lost: []string{`the config lost history[0].created: it is "", not a time as of RFC 3339 (and 1 more like it)`},
	},
	{
		name: "what was wrong in a list that goes is not told", config: `{"history":[{"created":""},"x"],` + configRest, want: `{` + configRest,
		lost: []string{`the config lost history: it has an unfit item 1: it is a string, not an object`},
	},
	{name: "no OS", config: `{"architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`, kind: errdefs.ErrNotImplemented, text: `the config has no "os"`},
	{
		name: "an empty architecture", config: `{"architecture":"","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`,
		kind: errdefs.ErrNotImplemented, text: `the config has an unfit "architecture": it is "", not a name`,
	},
	{name: "no rootfs", config: `{"architecture":"amd64","os":"linux"}`, kind: errdefs.ErrNotImplemented, text: `the config has no "rootfs"`},
	{
		name: "no diff IDs", config: `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}`,
		kind: errdefs.ErrNotImplemented, text: `the config has an unfit "rootfs": it has no "diff_ids"`,
	},
	{
		name: "null diff IDs", config: `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":null}}`,
		kind: errdefs.ErrNotImplemented, text: `the config has an unfit "rootfs": it has an unfit "diff_ids": it is null, not an array`,
	},
	{
		name: "layers of an old Windows", config: `{"architecture":"amd64","os":"windows","rootfs":{"type":"layers+base","diff_ids":[]}}`,
		kind: errdefs.ErrNotImplemented, text: `it is "layers+base", not "layers"`,
	},
	{name: "not an object", config: `[]`, kind: errdefs.ErrNotImplemented, text: "the config is an array, not an object"},
	{name: "not JSON", config: `{`, kind: errdefs.ErrInvalidArgument, text: "the config document: is not JSON"},
	{name: "a key twice", config: `{"os":"windows",` + configRest, kind: errdefs.ErrInvalidArgument, text: `has the key "os" twice`},
	{name: "a key that folds to another", config: `{"OS":"windows",` + configRest, kind: errdefs.ErrInvalidArgument, text: `ambiguous key "OS"`},
	{name: "a malformed diff ID", config: `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["../x"]}}`, kind: errdefs.ErrInvalidArgument, text: `"../x"`},
}
