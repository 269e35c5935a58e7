// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/stream"
)

const (
	connectionWindow = 1<<16 - 1 // RFC 9113, section 6.9.2
	largestWindow    = 1<<31 - 1 // RFC 9113, section 6.9.1
)

// data judges a DATA frame that was applied.
func (t *Tracker) data(d capture.Direction, ch *stream.Change) {
	hd, s := t.row.Header, ch.Stream
	if hd.StreamID == 0 {
		return
	}
	if hd.Length > 0 && t.conn.WindowSure(d) {
		if left := t.conn.Half(d).Window.Left(connectionWindow); left < 0 {
			t.hold(flowControlExceeded, hd.StreamID, "DATA goes %d octets beyond the window of the connection.", -left)
		}
		if s != nil && !s.Unseen {
			// What was given out before the sender acknowledges it counts.
			initial := t.conn.Half(d.Reverse()).Loosest.InitialWindowSize
			if left := s.Side(d).Window.Left(initial); left < 0 {
				t.hold(flowControlExceeded, hd.StreamID, "DATA goes %d octets beyond the window of the stream.", -left)
			}
		}
	}
	if s != nil {
		t.length(d, s, ch.Content)
	}
}

// windowUpdate judges a WINDOW_UPDATE frame that was applied.
func (t *Tracker) windowUpdate(d capture.Direction, s *stream.Stream) {
	carries := d.Reverse()
	h := t.conn.Half(d)
	if !h.SettingsSure() || !t.conn.Half(carries).Complete() || t.row.Err != nil {
		return
	}
	if t.row.Header.StreamID == 0 {
		if left := t.conn.Half(carries).Window.Left(connectionWindow); left > largestWindow {
			t.hold(windowOverflow, 0, "WINDOW_UPDATE makes the window of the connection %d octets.", left)
		}
		return
	}
	if s == nil || s.Unseen || s.State() == stream.Closed {
		return
	}
	if left := s.Side(carries).Window.Left(h.LeastWindow); left > largestWindow {
		t.hold(windowOverflow, s.ID, "WINDOW_UPDATE makes the window of the stream %d octets.", left)
	}
}

// stalled reports that a window was empty.
func (t *Tracker) stalled(id ruleID, streamID uint32, st stream.Stall, until string) {
	took := st.Till - st.Since
	key := toldKey{id, streamID, st.Seq}
	again := t.told[key]
	delete(t.told, key)
	if (took < windowNote || !st.Held()) && !again {
		return
	}
	sev := decode.Note
	if took >= windowWarning || again {
		sev = decode.Warning
	}
	if !again && t.full(id) {
		return
	}
	switch {
	case st.By == stream.BeforeData && st.Next == 0:
		until += notSeen
	case st.By == stream.BeforeData:
		until += "; its first DATA followed " + duration(st.Next-st.Till) + " later"
	}
	t.emit(&Diagnosis{
		Code: rules[id].Code, Severity: sev, Conn: t.id, Direction: st.Direction, Stream: streamID,
		Seq: st.Seq, Time: st.Since, Section: rules[id].Section, Since: st.Since, Till: st.Till, Again: again,
		Text: t.exhausted(id, st.Direction, "could") + " " + emptyText(st.By, "was") + " for " + duration(took) + until + ".",
	})
}

// length compares content-length with the DATA of a message that has just
// ended, or that the last frame, with its octets of content, made too long. A
// sender that was told to stop may have ended it early.
func (t *Tracker) length(d capture.Direction, s *stream.Stream, content uint64) {
	sd := s.Side(d)
	client, known := t.conn.ClientDirection()
	if sd.Length < 0 || !sd.DataSure || !known || !t.conn.Whole(s, d) || s.Side(d.Reverse()).Reset {
		return
	}
	length := uint64(sd.Length)
	tooShort := sd.EndStream && sd.Data < length
	tooLong := sd.Data > length && sd.Data-content <= length
	if !tooShort && !tooLong {
		return
	}
	what := "request"
	if client != d {
		what = "response"
		// What has no content whatever its content-length says.
		if s.Method == "" || s.Method == "?" || s.Method == "HEAD" || s.Status == 304 || s.Status == 0 {
			return
		}
	}
	if s.Method == "CONNECT" {
		return
	}
	sev := decode.Error
	if client == d && s.Side(d.Reverse()).Headers {
		sev = decode.Warning // the answer came first, the rest may not have been wanted
	}
	more := ""
	if !sd.EndStream {
		more = " and more"
	}
	// That the other side did not reset the stream is not known yet.
	t.holdAs(contentLength, sev, rules[contentLength].Section, s.ID, "The content-length of the %s is %d, its DATA is %d octets%s.", what, sd.Length, sd.Data, more)
}
