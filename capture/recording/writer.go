// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"unicode/utf8"

	"h2sniff/capture"
)

const (
	// bufferSize is how much a Writer holds back before it writes by itself.
	bufferSize = 256 << 10
	// maxEventData bounds what one event may carry, so that a reader's memory
	// is bounded too. Sources copy a good deal less of one call.
	maxEventData = 16 << 20
	// maxFacts bounds a process's and a library's name together, so that they
	// fit an option however they are escaped.
	maxFacts = 8 << 10
	// maxTailPackets bounds the packets that stand for octets not copied;
	// what they cannot hold is in the event's note.
	maxTailPackets = 64
)

// sectionComment begins with what NewReader tells the form by.
const (
	formLine       = "h2sniff recording, form 1\n"
	sectionComment = formLine +
		"The packets are synthetic: their payload is the plaintext that programs passed to their TLS library, so no key is needed.\n" +
		"Decode with: tshark -r FILE -d tcp.port==443,http2 (one -d for each server port; in Wireshark: Analyze, Decode As). " +
		"Addresses in 198.18.0.0/15 are made up."
	application = "h2sniff"
)

// Options describe a recording as a whole.
type Options struct {
	// Version of the program that records, for people to read.
	Version string
	// Start is the moment that elapsed times count from, in nanoseconds since
	// the Unix epoch. Reader.Start gives it back.
	Start int64
	// Owner, where set, is given the files that Create makes. A file that was
	// there before keeps its owner.
	Owner *Owner
	// Replace lets recordings be written over what is there.
	Replace bool
}

// Owner is a user and group of the system.
type Owner struct{ UID, GID int }

// A Writer writes events as a recording. It is not safe for concurrent use;
// [Tee] is.
//
// Events are held back up to 256 KiB: what a killed process leaves is the
// state at the last Flush, or later. An error of the underlying writer is
// final, and every later call returns it.
type Writer struct {
	w      io.Writer
	closer io.Closer // set where Create opened the file
	live   bool      // set by Create: somebody may read while it is written
	buf    []byte
	err    error
	closed bool

	conns      map[capture.ConnID]*outConn
	interfaces uint32 // described so far
	addresses  addressBook

	counters counters       // of the events written
	stats    *capture.Stats // given by SetStats
	written  capture.Stats  // in the last statistics block
	last     int64          // time of the last event, or of Now
	handed   int64          // octets handed to w
}

// outConn is the state of a connection that is open.
type outConn struct {
	id      capture.ConnID
	iface   uint32
	info    *capture.ConnInfo // nil if its opening was not written
	binding *capture.Binding  // the latest
	path    *path             // nil until the first packet is due
	next    [2]uint64         // position after the last event
	tid     [2]uint32         // stated last
}

// NewWriter begins a recording on w. The caller closes w after [Writer.Close].
func NewWriter(w io.Writer, o Options) (*Writer, error) {
	wr := &Writer{
		w:         w,
		buf:       make([]byte, 0, bufferSize+2*maxPacket),
		conns:     make(map[capture.ConnID]*outConn),
		addresses: newAddressBook(),
	}
	app := application
	if o.Version != "" {
		app += " " + o.Version
	}
	if len(app) > maxOption {
		return nil, errors.New("the version is too long")
	}
	b, start := beginBlock(wr.buf, blockSection)
	b = le.AppendUint32(b, byteOrderMagic)
	b = le.AppendUint16(b, 1) // version 1.0
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, math.MaxUint64) // section length: not known
	b = appendOption(b, optComment, sectionComment)
	b = appendOption(b, optSectionApplication, app)
	wr.buf = endBlock(appendEndOfOptions(b), start)

	n := note{Event: noteStart}
	if o.Start != 0 {
		n.setTime(o.Start)
	}
	wr.describe("h2sniff", "the recording as a whole; has no packets", &n)
	return wr, nil
}

// DecodeAs gives the -d options with which tshark and Wireshark decode what
// was written so far, such as "-d tcp.port==443,http2 -d tcp.port==8443,http2".
// It is empty before the first connection has packets.
func (w *Writer) DecodeAs() string { return w.addresses.decodeAs() }

// MadeUp gives how many connections bear made-up addresses in what was written so
// far. They read back with their own, as far as those are known.
func (w *Writer) MadeUp() int { return int(w.addresses.madeUp) }

// Foretell tells the addresses of a connection ahead of the event that binds it,
// so that all its packets bear them. It reads back with that event alone.
func (w *Writer) Foretell(id capture.ConnID, b *capture.Binding) {
	if c := w.conns[id]; c != nil && c.binding == nil {
		c.binding = b
	}
}

// SetStats gives the source's counters, which the next Flush and Close record.
// Without it they record what the events themselves tell.
func (w *Writer) SetStats(s capture.Stats) { w.stats = &s }

// Write records one event, of any connection, opened or not. It copies what it
// keeps, but holds on to ev.Info and ev.Binding. Members that do not apply to
// the event's kind are not recorded.
func (w *Writer) Write(ev *capture.Event) error {
	if w.err != nil {
		return w.err
	}
	if err := check(ev); err != nil {
		return err
	}
	if ev.Kind == capture.Open {
		w.open(ev)
	} else {
		w.packets(w.conn(ev.Conn), ev)
	}
	w.last = ev.Time
	return w.err
}

func check(ev *capture.Event) error {
	switch {
	case ev.Kind < capture.Open || ev.Kind > capture.Close:
		return fmt.Errorf("%w: kind %d", ErrInvalidEvent, ev.Kind)
	case ev.Direction > capture.Recv:
		return fmt.Errorf("%w: direction %d", ErrInvalidEvent, ev.Direction)
	case ev.Kind == capture.Open && ev.Info == nil:
		return fmt.Errorf("%w: a connection opens without its facts", ErrInvalidEvent)
	case ev.Kind == capture.Open && len(ev.Info.Comm)+len(ev.Info.Library)+len(ev.Info.Container) > maxFacts:
		return fmt.Errorf("%w: a connection's facts of more than %d octets", ErrInvalidEvent, maxFacts)
	case ev.Kind == capture.Bind && (ev.Binding == nil || !plainZone(ev.Binding.Local) || !plainZone(ev.Binding.Remote)):
		return fmt.Errorf("%w: a connection is bound to nothing, or to a zone with an impossible name", ErrInvalidEvent)
	case ev.Kind == capture.Data && uint64(len(ev.Data)) > ev.Length:
		return fmt.Errorf("%w: %d octets of data and a length of %d", ErrInvalidEvent, len(ev.Data), ev.Length)
	case ev.Kind == capture.Data && len(ev.Data) > maxEventData:
		return fmt.Errorf("%w: %d octets of data", ErrInvalidEvent, len(ev.Data))
	}
	return nil
}

func plainZone(a netip.AddrPort) bool {
	zone := a.Addr().Zone()
	return len(zone) < 256 && utf8.ValidString(zone)
}

// open describes the connection's interface. An earlier connection of that id
// is over, whether or not its close was seen.
func (w *Writer) open(ev *capture.Event) {
	if old := w.conns[ev.Conn]; old != nil {
		w.forget(old)
	}
	n := note{Event: noteOpen, Conn: ev.Conn, TID: ev.TID}
	n.setTime(ev.Time)
	n.setInfo(ev.Info)
	w.conns[ev.Conn] = &outConn{id: ev.Conn, iface: w.interfaces, info: ev.Info, tid: [2]uint32{ev.TID, ev.TID}}
	w.describe(ev.Conn.String(), fmt.Sprintf("%+q, pid %d, %+q", ev.Info.Comm, ev.Info.PID, ev.Info.Library), &n)
	w.counters.count(ev, 0)
}

// conn gives the connection's state, and an interface without an open event
// to one whose opening was not written.
func (w *Writer) conn(id capture.ConnID) *outConn {
	c := w.conns[id]
	if c == nil {
		c = &outConn{id: id, iface: w.interfaces}
		w.conns[id] = c
		w.describe(id.String(), "its opening was not recorded", &note{Conn: id})
	}
	return c
}

func (w *Writer) forget(c *outConn) {
	if c.path != nil {
		w.addresses.release(c.path.local, c.path.remote)
	}
	delete(w.conns, c.id)
}

// describe appends an interface description block. name and description are
// printable ASCII.
func (w *Writer) describe(name, description string, n *note) {
	b, start := beginBlock(w.buf, blockInterface)
	b = le.AppendUint16(b, linkTypeRaw)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, 0) // no snap length
	b = appendOption(b, optInterfaceName, name)
	b = appendOption(b, optInterfaceDescription, description[:min(len(description), 1024)])
	b = appendOption(b, optInterfaceResolution, []byte{9}) // nanoseconds
	b = appendOption(b, optComment, n.comment())
	w.end(appendEndOfOptions(b), start)
	w.interfaces++
}

// size is how many octets the recording has.
func (w *Writer) size() int64 { return w.handed + int64(len(w.buf)) }

// Flush hands everything written so far, and the counters where they have
// changed, to the underlying writer. It does not sync the file: what was
// flushed survives the process, not the machine.
func (w *Writer) Flush() error {
	if w.err != nil {
		return w.err
	}
	if s := w.currentStats(); s != w.written {
		w.statistics(noteStatistics, s)
	}
	w.write()
	return w.err
}

// Now tells who reads the recording while it is written what time it is, in Unix
// nanoseconds: all events before it have been written. A file that is read later does
// not get that.
func (w *Writer) Now(now int64) error {
	if w.err == nil && w.live {
		w.last = max(w.last, now)
		w.statistics(noteStatistics, w.currentStats())
		w.write()
	}
	return w.err
}

// Close writes the final counters and the end mark, and closes the file if
// [Create] opened it.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	w.statistics(noteEnd, w.currentStats())
	w.write()
	err := w.err
	if w.closer != nil {
		if cerr := w.closer.Close(); err == nil {
			err = cerr
		}
	}
	w.err = fmt.Errorf("the recording: %w", os.ErrClosed)
	return err
}

func (w *Writer) currentStats() capture.Stats {
	if w.stats != nil {
		return *w.stats
	}
	return w.counters.stats
}

// statistics appends an interface statistics block for interface 0.
func (w *Writer) statistics(event string, s capture.Stats) {
	n := note{Event: event}
	n.setStats(s)
	b, start := beginBlock(w.buf, blockStatistics)
	b = le.AppendUint32(b, 0)
	b = appendTime(b, w.last)
	b = appendOption64(b, optStatisticsReceived, s.Events+s.LostEvents)
	b = appendOption64(b, optStatisticsDropped, s.LostEvents)
	b = appendOption(b, optComment, n.comment())
	w.end(appendEndOfOptions(b), start)
	w.written = s
}

// end ends the block that begins at start, in b, which becomes the buffer.
func (w *Writer) end(b []byte, start int) {
	w.buf = endBlock(b, start)
	if len(w.buf) >= bufferSize {
		w.write()
	}
}

// write hands the buffer to the underlying writer, unless that has failed
// before, and sets err if it fails.
func (w *Writer) write() {
	if w.err == nil && len(w.buf) > 0 {
		var n int
		n, w.err = w.w.Write(w.buf)
		w.handed += int64(n)
	}
	w.buf = w.buf[:0]
}
