// Package powerloss is for tests of what is left when the power goes: a file system of
// ext4 in a file, whose bytes are copied at a moment while it is written to. Such a copy
// has what the kernel had written to the disk by then and nothing that was only in
// memory, so that it lacks what nobody has synced: bytes, names in directories, or both.
//
// A copy that is made while the kernel writes would be one of no moment: it could have a
// later write and not an earlier one, which no disk that keeps the order of its flushes
// shows. So the file of the disk is on a file system of its own, which is frozen for as
// long as the copying takes: writes to the disk that are under way wait.
//
// What is modelled is a disk that loses nothing it has said to be written. Writes that
// were not flushed may be in a copy, and would be lost by a disk with a cache.
//
// It works on Linux, for root, where loop devices can be mounted and mkfs.ext4 is
// installed. Elsewhere New skips the test and says why.
package powerloss
