// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"
	"unicode/utf8"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// noStreams is what to show of a connection that has none.
func noStreams(c *store.ConnSummary) []string {
	switch {
	case c.Protocol != decode.HTTP2 && c.Protocol != decode.Undecided:
		return []string{"none: " + c.Protocol.String()}
	case c.Streams > 0:
		return []string{"none left in the history"}
	case c.Closed != 0:
		return []string{"none"}
	}
	return []string{"none yet"}
}

// waitOf is the time from the last frame of a stream's request to the first of
// its response, or to until while there is none, in nanoseconds.
func waitOf(t *store.StreamSummary, role capture.Role, until int64) (ns int64, ok bool) {
	d := requestDirection(t, role)
	req, resp := &t.Phases[d], &t.Phases[d.Reverse()]
	switch {
	case req.Begin == 0 || resp.Begin == 0 && ended(t):
		return 0, false
	case resp.Begin == 0:
		return max(0, endOf(t, until)-req.Last), true
	case resp.Begin < req.Last:
		return 0, false
	}
	return resp.Begin - req.Last, true
}

func waitText(t *store.StreamSummary, role capture.Role, until int64) string {
	if ns, ok := waitOf(t, role, until); ok {
		return span(ns)
	}
	return ""
}

// request is the method and path of a stream, as far as they are known.
func request(t *store.StreamSummary, w int) string {
	if t.Method == "" && t.Path == "" && t.RequestTrust == decode.TrustExact {
		return "–"
	}
	method := known(t.Method, w)
	return method + " " + knownPath(t.Path, w-width(method)-1)
}

// knownPath is a path in w cells, as far as it is known. Where not even the part
// before the query fits, its end tells more than its beginning, which others
// share: gRPC has the method there, REST the id.
func knownPath(path string, w int) string {
	w = max(w, 0)
	part, query, _ := strings.Cut(path, "?")
	if query != "" {
		query = "?" + ellipsis
	}
	if part == "" || width(known(part, w+1))+width(query) <= w {
		return known(path, w)
	}
	return lastCells(part, w-width(query)) + query
}

// lastCells is the end of a path, in w cells at most, behind the sign for what is
// cut.
func lastCells(path string, w int) string {
	w = max(w, 0)
	from := max(0, len(path)-maxCluster*w)
	for from < len(path) && !utf8.RuneStart(path[from]) {
		from++
	}
	tail := peer(path[from:], w)
	for n := width(tail) + width(ellipsis); n > w && tail != ""; {
		_, size, cells := next(tail)
		tail = tail[size:]
		n -= cells
	}
	return ellipsis + tail
}

// known is a value, or the sign for one that is not known.
func known(v string, w int) string {
	if v == "" {
		return unknownValue
	}
	return peer(v, w)
}

const unknownValue = "‹unknown›"

// streamStateOf is the state of RFC 9113, section 5.1, as far as END_STREAM
// flags and RST_STREAM frames that were seen tell it.
func streamStateOf(s *styles, t *store.StreamSummary) (string, sgr) {
	switch {
	case t.Reset && http2.ErrCode(t.ResetCode) == http2.ErrCodeNo:
		return "reset", s.warn
	case t.Reset:
		return "RST " + decode.ErrorName(t.ResetCode), s.warn
	case t.EndSend && t.EndRecv:
		return "closed", s.dim
	case pushed(t) && !begun(t):
		return "reserved", s.dim
	case t.EndSend:
		return "hc-local", s.plain
	case t.EndRecv:
		return "hc-remote", s.plain
	}
	return "open", s.good
}

// fewFrames is how many frames of a stream are looked at for its state.
const fewFrames = 8

// isIdle says that a stream carried PRIORITY frames and nothing else, which
// leave it idle: RFC 9113, section 5.1. A stream with frames that are not held
// any more, or with many, is taken for one that began.
func isIdle(st *store.Store, t *store.StreamSummary) bool {
	if t.Frames > fewFrames || t.Phases[0].Begin != 0 || t.Phases[1].Begin != 0 {
		return false
	}
	v := store.View{Conn: t.Conn, Stream: t.ID, HasStream: true}
	first, _ := st.Span(v)
	rows := st.Rows(v, first, fewFrames)
	frames := uint64(0)
	for i := range rows {
		if rows[i].Kind != decode.RowFrame {
			continue
		}
		if rows[i].Header.Type != http2.FramePriority {
			return false
		}
		frames++
	}
	return frames > 0 && frames == t.Frames
}
