// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"h2sniff/capture"

	"golang.org/x/net/http2"
)

// prefaceHeader is what the connection preface is read as, as a frame header (no
// peer allows a frame of that length), and prefaceRest how many octets follow.
var prefaceHeader = parseHeader([]byte(http2.ClientPreface))

const prefaceRest = uint32(len(http2.ClientPreface) - frameHeaderSize)

// beginAnew says that what was read for a frame is a preface, in a direction that
// began with one: a client whose early data (RFC 8446, section 2.3) was rejected
// sends all of it again.
func (d *direction) beginAnew(m mark) {
	at, begun := d.at, d.begun
	d.restart()
	d.begin()
	c := d.conn
	c.row = Row{Kind: RowPreface, Direction: d.dir, Conn: c.id, TID: begun.tid, Time: begun.time, TimeEnd: m.time, Offset: at}
	c.out()
}

// restart forgets what the direction was in.
func (d *direction) restart() {
	d.headerN, d.frames, d.found, d.guard = 0, 0, false, 0
	d.buf = d.buf[:0]
	d.block, d.due = block{}, [len(d.due)]uint32{}
	d.damaged = false
}

// cutByPreface tells whether a call of the client begins it anew in the middle of
// a frame: its early data was cut, and rejected. Before the server has said
// anything nobody else sends a preface there (later, it could be in a tunnel).
func (d *direction) cutByPreface(p []byte, atCall bool) bool {
	return atCall && d.headerN > 0 && d.state == dirFrames && d.dir == capture.Send && d.conn.preface[d.dir] && d.reverse().pos == 0 &&
		len(p) >= len(http2.ClientPreface) && string(p[:len(http2.ClientPreface)]) == http2.ClientPreface
}

// rejected ends the frame that was cut; the preface comes next.
func (d *direction) rejected() {
	if d.headerN == frameHeaderSize {
		d.unfinished(errRejected)
	} else {
		d.gap(uint64(d.headerN), GapSkipped, d.begun.time, d.last)
	}
	d.restart()
}
