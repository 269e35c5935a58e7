// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"fmt"
)

// Errors that [NewReader], [Open] and [Reader.Read] return, wrapped or bare.
var (
	// ErrEmpty: there is not one octet.
	ErrEmpty = errors.New("the file is empty: record again with `h2sniff record -w FILE`")
	// ErrNotRecording: not a pcapng file.
	ErrNotRecording = errors.New("not a recording: give a file that `h2sniff record -w FILE` wrote")
	// ErrForeign: a pcapng file, but written or edited by another program,
	// so that processes, connections and positions are not to be had from it.
	// Package pcap reads its packets.
	ErrForeign = errors.New("a pcapng file that h2sniff did not write: open it with Wireshark or tshark, or give the file that `h2sniff record -w FILE` wrote")
	// ErrNewer: a recording in a form that this program does not know.
	ErrNewer = errors.New("the recording was written by a newer h2sniff: update h2sniff to read it")
	// ErrTruncated: all whole events have been returned, but the recording
	// has no end: its writer was killed, is still writing, had no room, the copy is not
	// complete, or a program such as editcap left the end mark out.
	ErrTruncated = errors.New("the recording is cut off: h2sniff was killed while it wrote, is still writing, had no room left on the disk, the copy is not complete, or another program edited it; everything before the cut was read")
	// ErrDamaged: the octets are not what h2sniff writes. The wrapping error
	// names the place.
	ErrDamaged = errors.New("the recording is damaged")
)

// ErrInvalidEvent is returned by [Writer.Write] for an event that breaks the
// contract of capture.Event. Nothing of it was written; the Writer goes on.
var ErrInvalidEvent = errors.New("invalid event")

// WriteError says that a recording ended before the capture did: its file
// could not be written.
type WriteError struct {
	Err error // of the underlying writer, such as ENOSPC
}

func (e *WriteError) Error() string {
	return fmt.Sprintf("recording stopped, the file holds only what came before: %v", e.Err)
}

func (e *WriteError) Unwrap() error { return e.Err }
