// SPDX-License-Identifier: Apache-2.0

// Package capture defines what every source of HTTP/2 plaintext hands over: a
// sequence of [Event] values read from a [Source].
//
// The package holds types only. Its sub-packages each own one way to get
// events (probes on a live program, a recording); decoders read them without
// knowing which one it was.
//
// # Order
//
// A Source yields events in the order in which they are to be decoded and
// shown. A send is ordered by its beginning and a receive by its return, so
// that where both ends of a connection are captured no receive comes before
// the send that caused it.
//
// # Positions
//
// Event.Offset counts the plaintext octets of one direction of one connection
// from the first octet that the source knew of. Positions never go backwards
// and advance by the true number of octets that the program moved, copied or
// not: a hole in them is exactly the number of octets that were lost.
package capture

import (
	"net/netip"
	"strconv"
)

// ConnID identifies a connection (one TLS handle during one lifetime) within a
// Source. It counts from 1 in the order in which connections were first seen
// and is never reused.
type ConnID uint32

// String gives the name under which users meet the connection: c1, c2, ...
func (id ConnID) String() string { return string(id.Append(nil)) }

// Append appends that name to b.
func (id ConnID) Append(b []byte) []byte { return strconv.AppendUint(append(b, 'c'), uint64(id), 10) }

// Direction tells which way the octets went, as seen from the traced process.
type Direction uint8

const (
	Send Direction = iota
	Recv
)

func (d Direction) String() string {
	if d == Send {
		return "send"
	}
	return "recv"
}

// Reverse is the other direction.
func (d Direction) Reverse() Direction { return d ^ 1 }

// Role is the part that the traced process plays in a connection.
type Role uint8

const (
	RoleUnknown Role = iota
	Client
	Server
)

func (r Role) String() string {
	switch r {
	case Client:
		return "client"
	case Server:
		return "server"
	}
	return "unknown"
}

// Evidence tells how the addresses of a connection are known.
type Evidence uint8

const (
	// Exact: the process received from the socket while inside a call on
	// this TLS handle.
	Exact Evidence = iota + 1
	// Inferred: the thread's last receive before it fed the TLS handle came
	// from the socket.
	Inferred
	// Withdrawn: inference contradicted itself; the addresses given before
	// are not to be trusted and the connection has none.
	Withdrawn
)

func (e Evidence) String() string {
	switch e {
	case Exact:
		return "exact"
	case Inferred:
		return "inferred"
	case Withdrawn:
		return "withdrawn"
	}
	return "none"
}

// Kind is the kind of an Event.
type Kind uint8

const (
	// Open is the first event of every connection; Event.Info is set.
	Open Kind = iota + 1
	// Bind gives, changes or withdraws the addresses; Event.Binding is set.
	// It can come at any time between Open and Close.
	Bind
	// Data is a piece of one direction's plaintext. Where Length exceeds
	// len(Data) the last Length-len(Data) octets were not copied on purpose
	// (beyond the limit of one call, or a page that could not be read).
	Data
	// Lost says that Length octets at Offset were dropped between the traced
	// program and h2sniff and will never come. A Data event whose Offset lies
	// beyond the position reached says the same of the octets between.
	Lost
	// Unsent says that of the octets that earlier Data events have told of in
	// direction Send, the Length ones from Offset on were not sent: the call
	// failed. Positions stay as they are. Only programs whose calls send
	// everything or break the connection have it (Go's crypto/tls).
	Unsent
	// Close is the last event of a connection: its handle was freed or its
	// process has gone.
	Close
)

// ConnInfo describes a connection when it opens.
type ConnInfo struct {
	PID     uint32 // thread-group id in h2sniff's own pid namespace
	TID     uint32 // thread that first used the handle
	Comm    string // the thread-group leader's name, at most 15 bytes, unsanitised
	Library string // path or name of the TLS library, as the process maps it
	// Container is the id of the container that the process runs in, as its
	// runtime gave it; "" where it is in none, or that is not known.
	Container string
	Role      Role // RoleUnknown where only the plaintext can tell
	// Fresh is set when the handle was seen before its first plaintext octet
	// (its handshake was observed), so that Offset 0 is the start of the
	// connection. Otherwise the connection may have been open for long.
	Fresh bool
}

// Binding gives the addresses of a connection's socket.
type Binding struct {
	Local, Remote netip.AddrPort // not valid when Evidence is Withdrawn
	Evidence      Evidence
}

// Event is one thing that happened to a connection.
type Event struct {
	Kind      Kind
	Direction Direction // Data, Lost and Unsent only
	Conn      ConnID
	TID       uint32 // thread that made the call; 0 where unknown
	// Time is in nanoseconds since the Unix epoch: of a send the moment the
	// call began, of a receive the moment it returned.
	Time   int64
	Offset uint64 // octets
	Length uint64 // octets that the program really sent or received
	// Data belongs to the Source and is valid until the next Read.
	Data    []byte
	Info    *ConnInfo // Open only; immutable
	Binding *Binding  // Bind only; immutable
}

// Stats are counters of a Source since its start.
type Stats struct {
	Events     uint64 // events captured
	Bytes      uint64 // plaintext octets that the programs moved
	LostEvents uint64 // events dropped for want of buffer space
	LostBytes  uint64 // octets in them, as far as positions have told
	NotCopied  uint64 // octets known of but not copied
	Missed     uint64 // calls that could not be followed: what they moved is not known
}

// Source yields events. Read and Close may be called from different
// goroutines, Read from one goroutine at a time, Stats from any.
type Source interface {
	// Read waits for the next event and fills ev. It returns io.EOF when
	// there will be none (end of a recording, Close called, traced command
	// ended). Any other error is final too.
	Read(ev *Event) error
	Stats() Stats
	// Close ends a Read that waits, and frees what the source holds.
	Close() error
}

// Ignorer is implemented by sources that can stop capturing a connection
// which does not speak HTTP/2, so that it costs the traced program little.
type Ignorer interface {
	Ignore(ConnID)
}
