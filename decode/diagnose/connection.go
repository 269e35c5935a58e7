// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"encoding/binary"
	"fmt"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/stream"

	"golang.org/x/net/http2"
)

// duration writes nanoseconds with three significant places or so.
func duration(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}

// whole tells whether the payload is all there.
func whole(row *decode.Row) bool {
	return row.Missing == 0 && uint32(len(row.Payload)) >= row.Header.Length
}

// goAway reports a GOAWAY frame, which is not applied yet.
func (t *Tracker) goAway(d capture.Direction, sd *side) {
	row := t.row
	if row.Header.StreamID != 0 {
		return
	}
	if sd.goAwayAt == 0 {
		sd.goAwayAt = row.TimeEnd
	}
	if row.Missing > 0 || len(row.Payload) < 8 {
		return
	}
	last := binary.BigEndian.Uint32(row.Payload) & (1<<31 - 1)
	code := http2.ErrCode(binary.BigEndian.Uint32(row.Payload[4:]))
	if before := t.conn.LastStream(d); last > before {
		t.report(goAwayIncreased, 0, "GOAWAY names %d as the last stream after one that named %d.", last, before)
	}
	sev := decode.Warning
	if code == http2.ErrCodeNo {
		sev = decode.Note
	}
	debug := ""
	if len(row.Payload) > 8 {
		debug = ", and says " + quote(string(row.Payload[8:min(len(row.Payload), 8+maxNameText+1)]))
	}
	t.reportAs(goAway, sev, rules[goAway].Section, 0, "The %s ends the connection after stream %d with %s%s.",
		t.sender(d), last, decode.ErrorName(uint32(code)), debug)
}

// sender names who sends in direction d.
func (t *Tracker) sender(d capture.Direction) string {
	c, known := t.conn.ClientDirection()
	switch {
	case known && c == d:
		return "client"
	case known:
		return "server"
	case d == capture.Send:
		return "traced process"
	}
	return "peer"
}

// rst reports an RST_STREAM frame, which is not applied yet.
func (t *Tracker) rst(d capture.Direction, s *stream.Stream) {
	row := t.row
	if row.Header.StreamID == 0 || !whole(row) || len(row.Payload) != 4 {
		return
	}
	code := http2.ErrCode(binary.BigEndian.Uint32(row.Payload))
	sev := decode.Warning
	switch code {
	case http2.ErrCodeNo, http2.ErrCodeCancel, http2.ErrCodeRefusedStream:
		sev = decode.Note
	}
	if s != nil && s.State() == stream.Closed {
		sev = decode.Note // it changes nothing any more
	}
	after := ""
	if s != nil && s.RequestSent != 0 {
		after = fmt.Sprintf(" %s after its request began", duration(row.Time-s.RequestSent))
	}
	t.reportAs(rstStream, sev, rules[rstStream].Section, row.Header.StreamID, "The %s resets the stream with %s%s.",
		t.sender(d), decode.ErrorName(uint32(code)), after)
	if s != nil && s.State() != stream.Closed && t.fromClient() && s.ID&1 == 1 && row.Time-s.RequestSent < span {
		n := &t.now.dirs[d]
		if n.resets++; n.resets >= minResetsInSpan && resetsPerHeaders*n.resets >= n.headers && t.once(rapidReset) {
			t.report(rapidReset, 0, "The client has reset %d streams within %s, of %d that it began.", n.resets, duration(span), max(n.headers, n.resets))
		}
	}
}

// settings reports on a SETTINGS frame that was applied.
func (t *Tracker) settings(d capture.Direction, ch *stream.Change) {
	row := t.row
	if row.Err != nil || row.Header.StreamID != 0 {
		return
	}
	if row.Header.Flags.Has(http2.FlagSettingsAck) {
		if !ch.HasAcked && t.conn.Half(d.Reverse()).SettingsSure() {
			t.hold(settingsAckUnexpected, 0, "SETTINGS are acknowledged that were not sent, or twice.")
		}
		return
	}
	if c, known := t.conn.ClientDirection(); !known || c == d || row.Missing > 0 {
		return
	}
	for p := row.Payload; len(p) >= 6; p = p[6:] {
		if http2.SettingID(binary.BigEndian.Uint16(p)) == http2.SettingEnablePush && binary.BigEndian.Uint32(p[2:]) == 1 {
			t.report(settingNotAllowed, 0, "The server sets SETTINGS_ENABLE_PUSH to 1.")
		}
	}
}

// ping follows PING frames to their acknowledgement.
func (t *Tracker) ping(d capture.Direction) {
	row := t.row
	if !whole(row) || len(row.Payload) != 8 || row.Header.StreamID != 0 {
		return
	}
	data := [8]byte(row.Payload)
	if !row.Header.Flags.Has(http2.FlagPingAck) {
		sd := &t.sides[d]
		if len(sd.pings) == maxPings {
			sd.pings = sd.pings[:copy(sd.pings, sd.pings[1:])]
		}
		sd.pings = append(sd.pings, ping{data: data, seq: t.seq, time: row.Time})
		return
	}
	sd := &t.sides[d.Reverse()]
	for i := range sd.pings {
		p := sd.pings[i]
		if p.data != data {
			continue
		}
		sd.pings = append(sd.pings[:i], sd.pings[i+1:]...)
		if d == capture.Recv {
			t.report(pingRoundTrip, 0, "The round trip of PING took %s.", duration(row.TimeEnd-p.time))
		}
		return
	}
}

// overdue reports what has waited for too long by now.
func (t *Tracker) overdue(now int64) {
	for d := range t.sides {
		sd, dir := &t.sides[d], capture.Direction(d)
		h := t.conn.Half(dir)
		if len(h.Pending) == 0 && len(sd.pings) == 0 {
			continue
		}
		if rev := t.conn.Half(dir.Reverse()); !rev.Complete() || rev.Doubted() {
			continue // the acknowledgement may have been missed
		}
		if len(h.Pending) > 0 && h.Pending[0].Seq != sd.unackedSeq && now-h.Pending[0].Time > settingsPatience {
			a := &h.Pending[0]
			sd.unackedSeq = a.Seq
			t.earlier(settingsUnacknowledged, decode.Warning, a.Seq, a.Time, dir, 0, "SETTINGS are not acknowledged after %s.", duration(now-a.Time))
		}
		for i := range sd.pings {
			p := &sd.pings[i]
			if now-p.time <= pingPatience {
				break
			}
			if !p.reported {
				p.reported = true
				t.earlier(pingUnacknowledged, decode.Warning, p.seq, p.time, dir, 0, "PING is not acknowledged after %s.", duration(now-p.time))
			}
		}
	}
}

// count follows what comes in floods.
func (t *Tracker) count(d capture.Direction) {
	row := t.row
	n := &t.now
	if row.Time-n.start >= span || row.Time < n.start {
		*n = counts{start: row.Time}
	}
	c := &n.dirs[d]
	hd := row.Header
	switch hd.Type {
	case http2.FrameHeaders:
		n.messages++
		c.headers++
	case http2.FrameData:
		padded := hd.Flags.Has(http2.FlagDataPadded) && whole(row) && len(row.Payload) > 0 && uint32(row.Payload[0])+1 == hd.Length
		if hd.Length > 0 && !padded {
			n.messages++
			break
		}
		if hd.Flags.Has(http2.FlagDataEndStream) {
			break
		}
		if c.empty++; c.empty >= minEmptyInSpan && c.empty > emptyPerHeaders*c.headers && t.once(emptyDataFlood) {
			t.report(emptyDataFlood, hd.StreamID, "The %s has sent %d DATA frames without data within %s.", t.sender(d), c.empty, duration(span))
		}
	case http2.FramePing:
		if hd.Flags.Has(http2.FlagPingAck) {
			break
		}
		if c.pings++; c.pings >= minPingsInSpan && c.pings > n.messages && t.once(pingFlood) {
			t.report(pingFlood, 0, "The %s has sent %d PINGs within %s, more than there were frames of messages.", t.sender(d), c.pings, duration(span))
		}
	case http2.FrameSettings:
		if hd.Flags.Has(http2.FlagSettingsAck) {
			break
		}
		if c.settings++; c.settings >= minSettingsInSpan && t.once(settingsFlood) {
			t.report(settingsFlood, 0, "The %s has sent %d SETTINGS within %s.", t.sender(d), c.settings, duration(span))
		}
	}
}

// once tells whether a code was not reported on this connection.
func (t *Tracker) once(id ruleID) bool { return t.reports[id] == 0 }
