// Package platform decides which entries of a multi-platform image serve a
// platform that was asked for. It stands on github.com/containerd/platforms for
// what normalises to what and for what a CPU can run, and adds the order and the
// exceptions that the operations need. Nothing else in Dhow compares architecture
// strings.
//
// Which matcher serves which operation:
//
//	operation    platform asked                   none asked           entry without platform  order
//	CopyOne      compatible, same architecture    as if Host was       last                    best first, then zstd
//	CopySeveral  strict                           refused              no                      document
//	Get          strict                           any, Host preferred  only if none is asked   best first
//	Manifest     compatible                       any, Host preferred  only if none is asked   best first
//	History      compatible                       any, Host preferred  only if none is asked   best first
//	Pull         compatible                       as if Host was       no                      best first
//	List         strict                           any, Host preferred  only if none is asked   best first
//	Classic      compatible, or a variant that    any                  only if none is asked   best first
//	             is not said
//
// Strict is platforms.OnlyStrict: the same platform in any spelling. Compatible
// is platforms.Only: the platform, less capable variants of it from the most
// capable down, and what the CPU runs of other architectures (386 on amd64, arm
// on arm64). Entries that rank the same keep their order in the document, so the
// first of two entries with one platform is the one that is chosen.
//
// The rules that hold for every operation:
//
//   - Platforms are kept as they were written and compared normalised: x86_64 is
//     amd64, aarch64 and arm64/v8 are arm64, armhf and arm are arm/v7, macos is
//     darwin, case does not count.
//   - Attestation manifests, and entries whose operating system or architecture
//     is "unknown", are never chosen.
//   - An empty platform object is no platform. In a platform that has an
//     architecture a missing operating system is linux. One without an
//     architecture serves only where any entry does.
//   - A variant more capable than the one asked for never matches; no variant
//     asked for is the architecture's default (arm/v7, arm64/v8, amd64/v1).
//   - OS features that an entry lists must all be asked for, except win32k on
//     Windows; of two entries that differ in nothing else the one with more of
//     them comes first.
//   - os.version counts on Windows only.
//
// CopyOne ranks by these questions, in this order: has the entry a platform; is
// it the architecture asked for (others are there only with Options.Compatible);
// its Windows version; does it say its variant; how capable is the variant; how
// many OS features match; which compression; its position. An entry that does
// not say its variant is taken for any variant of its architecture, and so comes
// after those that match by saying it.
//
// Windows versions in copies: the version asked for, then the newest of the same
// base (10.0.BUILD), then with Options.Compatible the newest of the other builds
// that Windows runs on that host, then entries that do not say their version.
// Without a version asked for the newest comes first. CopySeveral takes all of
// these, in document order. The service operations leave versions to
// containerd/platforms: builds that the host can run match and rank the same, and
// a version that is not MAJOR.MINOR.BUILD restricts nothing.
package platform
