package embedded

import "fmt"

// Problem is a kind of finding.
type Problem string

// The kinds of findings, and what a repair does.
const (
	// BadFormat: the format file is missing or damaged. It is written again.
	BadFormat Problem = "format"
	// BadDatabase: the database is missing or cannot be read. It is set aside, and made
	// anew from the journal, and from what can still be read of it if that is damaged too.
	BadDatabase Problem = "database"
	// BadJournal: entries of the journal are damaged or missing. It is written anew from
	// the database.
	BadJournal Problem = "journal"
	// BadRecord: a record is not what the journal says, or the index is not what the
	// records say. The database is set aside and made anew.
	BadRecord Problem = "record"
	// BadBlob: the bytes of a blob are damaged or missing. What is in their place is set
	// aside. The blob is missing until it is written again, which heals it, or until
	// nobody needs it; each check finds it until then.
	BadBlob Problem = "blob"
	// BadFacts: what is noted of a document is not what its bytes say. It is noted anew.
	BadFacts Problem = "facts"
	// BadName: a name points at what there is no record of. It is kept, and its target is
	// noted as a blob that is missing: see BadBlob.
	BadName Problem = "name"
	// BadMode: others may use a file or directory. Its mode is set.
	BadMode Problem = "mode"
	// Leaked: nobody needs a blob, and no collection would find it. The next one does.
	Leaked Problem = "leak"
	// Stray: a file that no record knows, but for those that a crash has left and the
	// next collection is going to look for; or something that has no place in a store,
	// as a symbolic link. A blob's file is removed, or known again if database and
	// journal were both damaged; anything else is set aside.
	Stray Problem = "stray"
)

// Remedy is what heals a finding.
type Remedy string

// The remedies.
const (
	ByRepair  Remedy = "repair" // Check with Repair
	ByWriting Remedy = "write"  // the same content is written again
)

func (p Problem) remedy() Remedy {
	if p == BadBlob || p == BadName {
		return ByWriting
	}
	return ByRepair
}

// Finding is something that is not as it should be.
type Finding struct {
	Problem Problem
	// What is a digest, a name, or a path below the store's directory, with slashes.
	// What others have named may have any characters.
	What string
	// Err says what is wrong with it.
	Err error
	// Remedy is what heals it.
	Remedy Remedy
	// Repaired tells that a repair has done what can be done about it: if its Remedy is
	// ByRepair, it is not so any more.
	Repaired bool
}

// String says it in a line.
func (f Finding) String() string {
	text := fmt.Sprintf("%s %.512q: %v", f.Problem, f.What, f.Err)
	if f.Repaired {
		text += " (repaired)"
	}
	return text
}
