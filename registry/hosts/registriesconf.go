package hosts

import (
	"log/slog"
	"reflect"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/ref"
)

// registriesConf is what one or more registries.conf files say. A nil slice was
// not set.
type registriesConf struct {
	search     []string
	searchFrom string // the file that set search
	helpers    []string
	mode       ShortNameMode
	aliases    map[string]string // "" takes back an alias of an earlier file
	registries []registry        // no two with one prefix
}

// registry is a [[registry]] table.
type registry struct {
	place    string // the file and the line, for messages
	prefix   name
	text     string // the prefix as it is compared for length
	location name   // the prefix where there is none
	moves    bool   // whether there is a location
	insecure bool
	blocked  bool
	mirrors  []mirror
}

// mirror is a [[registry.mirror]] table.
type mirror struct {
	location name
	insecure bool
	serves   serves
}

// serves is for which names a mirror is asked.
type serves string

const (
	servesAll     serves = "all"
	servesDigests serves = "digest-only"
	servesTags    serves = "tag-only"
)

// parseRegistries reads one registries.conf.
func parseRegistries(file string, data []byte, log *slog.Logger) (registriesConf, error) {
	top := parse(file, data, log)
	if top.has("registries") {
		top.fail("registries", "is the first version of the format, which is not read: use unqualified-search-registries and [[registry]] tables")
	}
	top.known("unqualified-search-registries", "credential-helpers", "additional-layer-store-auth-helper", "short-name-mode", "aliases", "registry")
	conf := registriesConf{
		search:  top.searchRegistries(),
		helpers: top.texts("credential-helpers"),
		mode:    ShortNameMode(top.text("short-name-mode")),
		aliases: top.aliases(),
	}
	if conf.search != nil {
		conf.searchFrom = file
	}
	switch conf.mode {
	case "", Enforcing, Permissive, Disabled:
	default:
		top.fail("short-name-mode", "is %s, none of enforcing, permissive and disabled", strictjson.Quote(string(conf.mode)))
	}
	for _, t := range top.tables("registry") {
		conf.add(t, t.registry())
	}
	return conf, top.doc.err
}

// add adds a table of the same file. Two for one prefix have to say the same.
func (c *registriesConf) add(t table, r registry) {
	i := slices.IndexFunc(c.registries, func(other registry) bool { return other.prefix == r.prefix })
	if i < 0 {
		c.registries = append(c.registries, r)
		return
	}
	other := c.registries[i]
	other.place = r.place
	if !reflect.DeepEqual(other, r) {
		t.doc.fail(t.path, errdefs.ErrInvalidArgument, "the prefix %s is there already, with other settings: %s", r.prefix, c.registries[i].place)
	}
}

func (t table) searchRegistries() []string {
	const key = "unqualified-search-registries"
	all := t.texts(key)
	for i, s := range all {
		host, err := parseHost(strings.TrimRight(s, "/"))
		if err != nil {
			t.doc.fail(element(key, i), errdefs.ErrInvalidArgument, "%v", err)
		}
		all[i] = host
	}
	return all
}

func (t table) registry() registry {
	t.known("prefix", "location", "insecure", "blocked", "mirror-by-digest-only", "mirror")
	if t.has("pull-from-mirror") {
		t.fail("pull-from-mirror", "belongs to a [[registry.mirror]] table")
	}
	r := registry{
		place:    t.doc.place(t.path),
		moves:    t.text("location") != "",
		insecure: t.flag("insecure"),
		blocked:  t.flag("blocked"),
	}
	if r.moves {
		r.location = t.place("location", parseLocation)
	}
	switch {
	case t.text("prefix") != "":
		r.prefix = t.place("prefix", parsePrefix)
	case r.moves:
		r.prefix = r.location
	default:
		t.doc.fail(t.path, errdefs.ErrInvalidArgument, "has neither a prefix nor a location")
	}
	r.text = r.prefix.String()
	if !r.moves && !strings.HasPrefix(r.text, wildcard) {
		t.fail("location", "is missing: only a prefix that begins with *. can do without")
	}
	t.checkLocation(r.prefix, r.location)
	t.checkReach(r)
	digests := t.flag("mirror-by-digest-only")
	for _, m := range t.tables("mirror") {
		r.mirrors = append(r.mirrors, m.mirror(r.prefix, digests))
	}
	return r
}

// mirror reads the table of a mirror of a registry with that prefix, of which the
// mirrors may be for digests only.
func (t table) mirror(prefix name, digests bool) mirror { //nolint:revive // a setting of the file, not of the caller
	t.known("location", "insecure", "pull-from-mirror")
	m := mirror{insecure: t.flag("insecure"), serves: serves(t.text("pull-from-mirror"))}
	if t.text("location") == "" {
		t.fail("location", "is missing")
	}
	m.location = t.place("location", parseLocation)
	t.checkLocation(prefix, m.location)
	switch m.serves {
	case servesAll, servesDigests, servesTags:
		if digests {
			t.fail("pull-from-mirror", "cannot be used with mirror-by-digest-only of the registry")
		}
	case "":
		m.serves = servesAll
		if digests {
			m.serves = servesDigests
		}
	default:
		t.fail("pull-from-mirror", "is %s, none of all, digest-only and tag-only", strictjson.Quote(string(m.serves)))
	}
	return m
}

// place reads a prefix or location.
func (t table) place(key string, parse func(string) (name, error)) name {
	n, err := parse(t.text(key))
	if err != nil {
		t.fail(key, "is not a place in a registry: %v", err)
	}
	return n
}

// checkLocation refuses a location that would change which content is meant.
func (t table) checkLocation(prefix, location name) {
	switch {
	case location == prefix:
	case location.digest != "":
		t.fail("location", "has a digest: what a name is pinned to does not move")
	case location.tag != "" && prefix.tag == "":
		t.fail("location", "has a tag, and the prefix has none")
	}
}

// checkReach warns of a prefix that no name begins with.
func (t table) checkReach(r registry) {
	if strings.HasPrefix(r.text, wildcard) || isHost(r.prefix.host) {
		return
	}
	t.doc.log.Warn("no name matches this registry: its first part is not a host without a dot, a port or being localhost",
		"file", t.doc.file, "line", t.doc.line(t.path), "prefix", r.text)
}

// isHost reports whether the first component of a name is taken for a host.
func isHost(s string) bool { return strings.ContainsAny(s, ".:") || s == "localhost" }

func (t table) aliases() map[string]string {
	aliases := t.table("aliases")
	all := map[string]string{}
	for _, short := range aliases.inOrder() {
		full := aliases.text(short)
		if problem := aliasProblem(short, full); problem != "" {
			aliases.fail(short, "%s", problem)
		}
		all[short] = full
	}
	return all
}

func aliasProblem(short, full string) string {
	first, _, inside := strings.Cut(short, "/")
	if inside && isHost(first) || ref.ValidName(short) != nil {
		return "is not a short name: a repository without host, tag and digest"
	}
	if full == "" {
		return ""
	}
	n, err := parseLocation(full)
	if err != nil || n.path == "" || n.tag != "" || n.digest != "" || !isHost(n.host) {
		return strictjson.Quote(full) + " is not a repository with its host, without tag and digest"
	}
	return ""
}
