// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// row describes any row.
func (d *details) row() {
	e, s := d.e, d.m.sty
	switch e.Kind {
	case decode.RowFrame:
		d.frame()
		return
	case decode.RowOpen:
		d.line(s.bold, e.Conn.String()+" opened")
		d.times()
		d.connection()
	case decode.RowBind:
		d.line(s.bold, e.Conn.String()+" addresses")
		d.times()
		if b := e.Binding; b != nil && b.Evidence != capture.Withdrawn {
			d.property("local", address(b.Local, 0), s.plain)
			d.property("remote", address(b.Remote, 0), s.plain)
			d.property("evidence", b.Evidence.String(), s.plain)
		} else {
			d.property("evidence", bindingText(b), s.warn)
		}
		d.connection()
	case decode.RowGap:
		d.line(s.bold, e.Conn.String()+" gap")
		d.times()
		d.property("direction", e.Direction.String(), s.plain)
		d.property("octets", commas(e.GapBytes), s.plain)
		d.sentence("reason", gapText(e.GapReason), s.warn)
		d.connection()
	case decode.RowPreface:
		d.line(s.bold, e.Conn.String()+" connection preface")
		d.times()
		d.property("direction", e.Direction.String(), s.plain)
		d.property("octets", "PRI * HTTP/2.0␍␊␍␊SM␍␊␍␊", s.plain)
		d.connection()
	case decode.RowProtocol:
		does := "speaks"
		switch {
		case e.OneWay && e.Direction == capture.Send:
			does = "sends"
		case e.OneWay:
			does = "receives"
		}
		d.line(s.warn, e.Conn.String()+" "+does+" "+e.Protocol.String()+": no HTTP/2 frames will come")
		d.times()
		if e.OneWay {
			d.property("direction", e.Direction.String(), s.plain)
		}
		d.connection()
	case decode.RowClose:
		d.line(s.bold, e.Conn.String()+" closed")
		d.times()
		d.connection()
	default:
		d.line(s.warn, e.Kind.String())
	}
}

func gapText(r decode.GapReason) string {
	switch r {
	case decode.GapLost:
		return "lost: dropped between the program and h2sniff; a larger --ring may help, or --headers-only"
	case decode.GapNotCopied:
		return "not copied: beyond what is captured of one call"
	case decode.GapNotKept:
		return "the file of the history was too slow for the row, or could not be read"
	case decode.GapSkipped:
		return "skipped: no frame boundary could be found in them"
	case decode.GapNotSent:
		return "not sent: the last octets before, since the program's call failed"
	}
	return r.String()
}

func (d *details) times() {
	e, s := d.e, d.m.sty
	t := time.Unix(0, e.Time).UTC().Format("2006-01-02 15:04:05.000000000") + " UTC"
	text := seconds(e.Time-d.m.start, 6) + " s   " + t
	if d.nameWidth()+1+width(text) <= d.w {
		d.property("time", text, s.plain)
	} else {
		d.sentence("time", text, s.plain)
	}
	if e.TimeEnd > e.Time {
		d.sentence("took", span(e.TimeEnd-e.Time)+" from the first to the last octet", s.plain)
	}
}

// connection describes the connection that a row belongs to.
func (d *details) connection() {
	s := d.m.sty
	if i := d.e.Info; i != nil {
		d.property("process", process(i, 40)+"   thread "+itoa(i.TID), s.plain)
		d.property("library", d.value(i.Library), s.plain)
		if i.Container != "" {
			d.property("container", d.value(i.Container), s.plain)
		}
		if !i.Fresh {
			d.sentence("attached", "in mid-connection: what came before is unknown", s.warn)
		}
	}
	c, ok := d.m.conn(d.e.Conn)
	if !ok {
		return
	}
	if d.e.Info == nil {
		d.property("process", process(&c.Info, 40), s.plain)
	}
	local, remote := addresses(&c)
	d.property("role", role(c.Role), s.plain)
	d.property("protocol", c.Protocol.String(), s.plain)
	if d.e.Kind != decode.RowBind {
		d.property("local", local, s.plain)
		d.property("remote", remote, s.plain)
	}
	if c.Peer != 0 {
		d.property("other end", c.Peer.String(), s.plain)
	}
	d.sentence("so far", fmt.Sprintf("%s, %s, %s sent, %s received",
		plural(c.Streams, "stream"), plural(int(c.Frames), "frame"), plural(int(c.SentB), "octet"), commas(c.RecvB)), s.plain)
	if c.Errors+c.Gaps > 0 {
		d.sentence("troubles", fmt.Sprintf("%s, %s, %s lost",
			plural(int(c.Errors), "malformed frame"), plural(int(c.Gaps), "gap"), plural(int(c.LostBytes), "octet")), s.warn)
	}
}

// frame describes a frame.
func (d *details) frame() {
	e, s := d.e, d.m.sty
	h := &e.Header
	a := arrow(s, e.Direction)
	title := decode.TypeName(h.Type) + "  " + a.text + " " + e.Direction.String() + "  stream " + itoa(h.StreamID) + "  " + e.Conn.String()
	d.add(detailLine{cells: []cell{{title, s.bold}, {d.m.detail.request, s.dim}}, widths: []int{width(title) + 1}})
	if e.Err != nil {
		d.property("error", "! "+frameError(e.Err, 400), s.bad)
	}
	for i := range e.Findings {
		d.problem(&e.Findings[i])
	}
	if e.Missing > 0 {
		d.sentence("missing", commas(uint64(e.Missing))+" octets were lost or not copied; zeroes stand in their places", s.warn)
	}
	// What the frame says comes first: a small pane shows little more.
	if e.HasFields {
		d.fields()
		d.line(s.plain, "")
	}
	d.payload()
	d.part = 0
	flags := strings.Join(decode.FlagNames(h.Type, h.Flags), " | ")
	if flags == "" {
		flags = "none"
	}
	d.known("flags", fmt.Sprintf("%s (0x%02x)", flags, uint8(h.Flags)), s.plain)
	d.known("length", commas(uint64(h.Length))+" octets of payload", s.plain)
	d.times()
	if e.BlockSeq != 0 && e.BlockSeq != e.Seq {
		d.property("field block", "began in row "+commas(e.BlockSeq), s.plain)
	}
}

// requestOf is the request that a frame is about, unless it carries that itself;
// empty where it is not known.
func requestOf(st *store.Store, e *store.Entry, w int) string {
	if e.Kind != decode.RowFrame || e.Header.StreamID == 0 {
		return ""
	}
	for i := range e.Fields {
		if f := &e.Fields[i]; f.NameKnown && f.Name == ":method" {
			return ""
		}
	}
	t, ok := st.Stream(e.Conn, e.Header.StreamID)
	if !ok || t.Method == "" && t.Path == "" {
		return ""
	}
	return "of " + request(&t, w)
}

// payload describes the fields of a frame by their names in RFC 9113.
func (d *details) payload() {
	e, s := d.e, d.m.sty
	p, err := decode.ParsePayload(e.Header, e.Payload)
	if e.Missing > 0 || err != nil && e.Header.Type != http2.FrameSettings {
		return // zeroes in place of octets are no values
	}
	if p.HasPad {
		d.known("padding", itoa(p.PadLength)+" octets", s.plain)
	}
	if p.Priority != nil {
		d.known("depends on", "stream "+itoa(p.Priority.StreamDep), s.plain)
		d.known("weight", itoa(p.Priority.Weight), s.plain)
		d.of("depends on", 0) // its first bit
		d.property("exclusive", fmt.Sprint(p.Priority.Exclusive), s.plain)
	}
	switch e.Header.Type {
	case http2.FrameRSTStream:
		d.errorCode(p.ErrorCode)
	case http2.FrameSettings:
		for i, v := range p.Settings {
			if d.enough(i, len(p.Settings)) {
				break
			}
			d.of("setting", i)
			d.wrapped([]cell{{decode.SettingName(v.ID), s.headers}}, []int{min(28, d.w/2)},
				fmt.Sprintf("%s (id 0x%x)", commas(uint64(v.Value)), v.ID), s.plain, nil)
		}
	case http2.FramePushPromise:
		d.known("promises", "stream "+itoa(p.PromisedStream), s.plain)
	case http2.FramePing:
		d.known("opaque data", hex.EncodeToString(p.Ping[:]), s.plain)
	case http2.FrameGoAway:
		d.errorCode(p.ErrorCode)
		d.known("last stream", itoa(p.LastStream), s.plain)
		if len(p.DebugData) > 0 {
			d.known("debug data", d.value(string(p.DebugData)), s.plain)
		}
	case http2.FrameWindowUpdate:
		d.known("increment", commas(uint64(p.Increment))+" octets", s.plain)
	case decode.FrameAltSvc:
		d.known("origin", d.value(p.AltSvc.Origin), s.plain)
		d.known("field value", d.value(p.AltSvc.Value), s.plain)
	case decode.FrameOrigin:
		for i, o := range p.Origins {
			if d.enough(i, len(p.Origins)) {
				break
			}
			d.of("origin", i)
			d.property("origin", d.value(o), s.plain)
		}
	case decode.FramePriorityUpdate:
		d.known("prioritizes", "stream "+itoa(p.PrioritizedStream), s.plain)
		d.known("field value", d.value(p.PriorityField), s.plain)
	}
}

func (d *details) errorCode(c http2.ErrCode) {
	d.known("error code", fmt.Sprintf("%s (0x%x)", decode.ErrorName(uint32(c)), uint32(c)), d.m.sty.warn)
}

// fields is the table of the decoded field section.
func (d *details) fields() {
	e, s := d.e, d.m.sty
	nw := 4
	for i := range e.Fields[:min(len(e.Fields), maxItems)] {
		nw = max(nw, width(fieldName(&e.Fields[i], 28)))
	}
	nw = min(nw, 28, max(4, d.w*2/5))
	title := fmt.Sprintf("Fields (%d)", len(e.Fields))
	if len(e.Fields) == 0 {
		d.line(s.bold, title)
		return
	}
	nw = max(nw, min(len(title), d.w*2/5))
	after := []cell{{" trust", s.dim}}
	wire := d.w >= wideEncoding
	if wire {
		after = append(after, cell{encodingHead, s.dim})
	}
	d.wrapped([]cell{{title, s.bold}}, []int{nw}, "value", s.dim, after)
	for i := range e.Fields {
		if d.enough(i, len(e.Fields)) {
			break
		}
		f := &e.Fields[i]
		d.of("field", i)
		d.field = i + 1
		value, style := d.fieldValue(f)
		after := []cell{trust(s, f, d.w, wire)}
		if wire {
			after = append(after, cell{encoding(f.Encoding), s.dim})
		}
		d.wrapped([]cell{{fieldName(f, nw), s.headers}}, []int{nw}, value, style, after)
	}
	d.part, d.field = 0, 0
	d.unknown()
}

// unknown says why fields are not known, and when such ones are again.
func (d *details) unknown() {
	worst := decode.TrustExact
	for i := range d.e.Fields {
		worst = max(worst, d.e.Fields[i].Trust)
	}
	since := ""
	switch worst {
	case decode.UnknownSinceAttach:
		since = "before the attach"
	case decode.UnknownSinceGap:
		since = "before or in a gap"
	default:
		return
	}
	d.sentence("unknown", "in an HPACK table entry made "+since+", and not seen; what is sent anew is known. "+
		keyName(d.m.keys.Tables.Keys()[0])+" shows the table.", d.m.sty.warn)
}

// fieldValue is a field's value, or the entry that it stands in.
func (d *details) fieldValue(f *decode.Field) (string, sgr) {
	if f.Trust == decode.TrustExact || f.ValueKnown {
		if d.m.masks(f) {
			return maskedText(f), d.m.sty.dim
		}
		return d.value(f.Value), d.m.sty.plain
	}
	return fmt.Sprintf("‹unknown, entry %d›", f.Unknown), d.m.sty.warn
}

// trust is how far a field can be believed, in short where there is no room.
func trust(s *styles, f *decode.Field, w int, wire bool) cell {
	text, style := f.Trust.String(), s.dim
	switch f.Trust {
	case decode.TrustExact:
	case decode.UnknownSinceAttach:
		style = s.warn
		if w < 100 {
			text = "attach?"
		}
	case decode.UnknownSinceGap:
		style = s.warn
		if w < 100 {
			text = "gap?"
		}
	}
	if f.Sensitive && !wire { // the representation says it too
		text = "never indexed, " + text
	}
	return cell{" " + text, style}
}
