// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"path"
	"strconv"
	"time"

	"h2sniff/decode/store"
)

// rateMeter tells frames a second over about the last second.
type rateMeter struct {
	samples []rateSample // oldest first
	shownAt time.Time
	shown   uint64
}

type rateSample struct {
	t      time.Time
	frames uint64
}

const (
	rateSpan  = time.Second
	rateEvery = 250 * time.Millisecond // a figure that changes faster cannot be read
)

// sample takes the count at a moment and reports whether the rate to show has
// changed.
func (r *rateMeter) sample(t time.Time, frames uint64) bool {
	r.samples = append(r.samples, rateSample{t, frames})
	old := 0
	for old < len(r.samples)-1 && t.Sub(r.samples[old+1].t) >= rateSpan {
		old++
	}
	r.samples = append(r.samples[:0], r.samples[old:]...)
	if t.Sub(r.shownAt) < rateEvery && !r.shownAt.IsZero() {
		return false
	}
	r.shownAt = t
	rate, first := uint64(0), r.samples[0]
	if d := t.Sub(first.t); d > 0 && frames > first.frames {
		rate = uint64(float64(frames-first.frames) / max(d, rateSpan).Seconds())
	}
	changed := rate != r.shown
	r.shown = rate
	return changed
}

// segment is a part of the status line.
type segment struct {
	long, short string // short: where there is no room for long; empty: nothing then
	style       sgr
	keep        int  // the lowest give way first; 0: stays whatever happens
	late        bool // goes after all others that may go
}

func (m *Model) appendStatus(dst []byte, w int) []byte {
	segs := m.statusSegments()
	texts := make([]string, len(segs))
	total := 0
	for i, g := range segs {
		texts[i] = g.long
		total += cells(g.long)
	}
	for total > w {
		low := -1
		for i, g := range segs {
			if texts[i] == "" || g.keep == 0 && texts[i] == g.short {
				continue
			}
			if low < 0 || rank(g, texts[i]) < rank(segs[low], texts[low]) {
				low = i
			}
		}
		if low < 0 {
			break
		}
		total -= cells(texts[low])
		if texts[low] != segs[low].short {
			texts[low] = segs[low].short
		} else {
			texts[low] = ""
		}
		total += cells(texts[low])
	}
	between := 1
	if total+len(segs) <= w {
		between = 2
	}
	used := 0
	for i, t := range texts {
		if t == "" || used >= w {
			continue
		}
		if n := min(between, w-used); used > 0 {
			dst = appendSpaces(dst, n)
			used += n
		} else if w >= total {
			dst = append(dst, ' ')
			used++
		}
		dst = append(dst, segs[i].style.on...)
		n := 0
		dst, n = appendCut(dst, t, w-used)
		dst = append(dst, segs[i].style.off...)
		used += n
	}
	return appendSpaces(dst, w-used)
}

// cells is what a segment takes with the space before it.
func cells(text string) int {
	if text == "" {
		return 0
	}
	return width(text) + 1
}

// rank orders what gives way: first all that has a short form takes it, then
// the least worth keeping goes.
func rank(g segment, text string) int {
	if text != g.short && g.short != "" {
		return g.keep
	}
	if g.late {
		return g.keep + 200
	}
	return g.keep + 100
}

// maxSource is how much of the source's name the status line shows, in cells.
const maxSource = 40

func (m *Model) statusSegments() []segment {
	s, n := m.sty, m.now
	var segs []segment
	add := func(long, short string, style sgr, keep int) {
		segs = append(segs, segment{long, short, style, keep, false})
	}
	late := func() { segs[len(segs)-1].late = m.lay.w >= 40 }
	lost := max(n.LostBytes, m.status.LostBytes)
	lostLong, lostStyle := "lost 0", s.good
	lostShort := lostLong
	if lost > 0 || m.status.LostEvents > 0 {
		lostLong, lostShort = "LOST "+commas(lost)+" octets", "LOST "+octets(lost)
		lostStyle = s.bad
	}
	// Nothing may hide that there is something missing: on the narrowest
	// screens it comes first.
	if m.lay.w < 24 {
		add(lostShort, lostShort, lostStyle, 0)
	}
	add("h2sniff", "", s.bold, 1)
	text, short, style := m.mode()
	if m.lay.w < 40 {
		text = short
	}
	add(text, text, style, 0)
	if m.status.Err != nil {
		// What it is stands in the last line, where there is room for one.
		text := "ERROR"
		if m.lay.w < 40 {
			text = "ERR"
		}
		add(text, text, s.bad, 0)
	}
	if m.status.Recording != "" {
		add("● REC "+peer(path.Base(m.status.Recording), 20), "● REC", s.warn, 0)
	}
	if m.frames.follow && m.o.Live && !m.paused && !m.status.Done {
		add("⇣ FOLLOW", "⇣", s.good, 7)
	}
	if src := m.sourceName(); src != "" {
		add(src, m.viewName(), s.plain, 4)
	}
	if m.o.Live { // of a file it would tell how fast that is read
		add(compact(m.rate.shown)+" fr/s", "", s.plain, 5)
		late()
	}
	add(commas(n.Frames)+" frames", compact(n.Frames)+" fr", s.plain, 6)
	add("history "+mib(n.HistoryUsed)+"/"+mib(n.HistoryLimit)+" MiB",
		"hist "+percent(n.HistoryUsed, n.HistoryLimit), s.dim, 2)
	late()
	if n.SpillUsed > 0 {
		add("+ "+mib(n.SpillUsed)+" MiB in a file", "+ "+mib(n.SpillUsed)+" MiB", s.dim, 2)
	}
	if n.NotKept > 0 {
		add("NOT KEPT "+commas(n.NotKept)+" rows", "NOT KEPT "+compact(n.NotKept), s.bad, 0)
	}
	if n.Evicted > 0 {
		add("evicted "+commas(n.Evicted), "evicted "+compact(n.Evicted), s.warn, 5)
	}
	if m.lay.w >= 24 {
		add(lostLong, lostShort, lostStyle, 0)
	}
	missed := func(n uint64, one, more string) {
		what := more
		if n == 1 {
			what = one
		}
		if n > 0 {
			add("MISSED "+commas(n)+" "+what, "MISSED "+compact(n)+" "+one[:4], s.bad, 0)
		}
	}
	missed(m.status.Unfollowed, "process", "processes")
	missed(m.status.Missed, "call", "calls")
	if p := problems(n.Errors, n.Findings); p > 0 {
		style := s.warn
		if n.Errors+n.Findings.Errors > 0 {
			style = s.bad
		}
		add("!"+commas(p), "!"+compact(p), style, 8)
	}
	return segs
}

// mode is whether the view follows, waits, or has all there is.
func (m *Model) mode() (long, short string, style sgr) {
	s := m.sty
	if m.paused {
		return "❚❚ PAUSED +" + commas(m.waiting()), "❚❚ +" + compact(m.waiting()), s.warn
	}
	switch {
	case !m.o.Live && !m.status.Done && m.o.Status != nil:
		if m.status.Size > 0 {
			far := percent(min(m.status.Read, m.status.Size), m.status.Size) // it may have grown since
			return "■ FILE reading " + far, "■ " + far, s.warn
		}
		return "■ FILE reading", "■ FILE", s.warn
	case !m.o.Live:
		return "■ FILE", "■ FILE", s.bold
	case m.status.Done && m.status.Exit != 0:
		status := " " + strconv.Itoa(m.status.Exit)
		return "■ ENDED" + status, "■ END" + status, s.warn
	case m.status.Done:
		return "■ ENDED", "■ END", s.warn
	}
	return "● LIVE", "● LIVE", s.good
}

// sourceName is where the rows come from and what of them is shown.
func (m *Model) sourceName() string {
	src := peer(m.o.Source, maxSource)
	if width(src) > maxSource {
		cut, _ := appendCut(nil, src, maxSource)
		src = string(cut)
	}
	view := m.viewName()
	switch {
	case src == "":
		return view
	case view == "":
		return src
	}
	return src + " › " + view
}

// viewName is what the panes are narrowed to; empty where they are not.
func (m *Model) viewName() string {
	name := ""
	if m.view.Conn != 0 {
		name = m.view.Conn.String()
	}
	if m.view.HasStream {
		if name != "" {
			name += " › "
		}
		name += "s" + strconv.FormatUint(uint64(m.view.Stream), 10)
	}
	return name
}

// narrowed says whether esc has anything to undo.
func (m *Model) narrowed() bool { return m.view != store.View{} || m.filter != nil || len(m.back) > 0 }

func mib(n int64) string { return strconv.FormatInt((n+1<<19)>>20, 10) }

func percent(n, of int64) string {
	if of <= 0 {
		return "0%"
	}
	return strconv.FormatInt(int64(float64(n)/float64(of)*100), 10) + "%"
}

const (
	// minText is the cells from which the state of the source is worth
	// beginning; short of that the keys have the last line for themselves.
	minText = 20
	// textShown is for how long it may take the keys' place when it is new.
	textShown = 8 * time.Second
)

// appendBottom is the last line: the prompt, or a notice, or the keys to press
// with the state of the source on the right.
func (m *Model) appendBottom(dst []byte, w int) []byte {
	s := m.sty
	switch {
	case m.typing != nil:
		return m.appendPrompt(dst, w)
	case m.choosing:
		return m.appendMenu(dst, w)
	case m.notice != "":
		style := s.warn
		if m.noticeAlarm {
			style = s.bad
		}
		return appendStyled(dst, " "+m.notice, w, style)
	}
	if text := m.progress(); text != "" {
		return m.appendBeforeHints(dst, " "+text+" ", "", w, s.warn)
	}
	first, last := m.hints()
	if m.status.Err != nil {
		return m.appendBeforeHints(dst, " "+peer(m.status.Err.Error(), w)+" ", " :messages has it whole ", w, s.bad)
	}
	keys := hintsWidth(first) + hintsWidth(last)
	text := peer(m.status.Text, w)
	n := w - keys - 2
	if m.textNew {
		n = max(n, w/2)
	}
	if n = min(n, width(text)); n < minText && n < width(text) || n <= 0 {
		return m.appendHints(dst, first, last, w)
	}
	dst = m.appendHints(dst, first, last, w-n-2)
	dst = append(dst, ' ')
	dst = appendStyled(dst, text, n, s.dim)
	return append(dst, ' ')
}

// appendBeforeHints appends exactly w cells: a text, where that is cut what is to
// be said of it, and the hints that are dropped last, if there is room.
func (m *Model) appendBeforeHints(dst []byte, text, whenCut string, w int, style sgr) []byte {
	_, last := m.hints()
	n := w
	if keys := hintsWidth(last); n-keys >= minText {
		n -= keys
	}
	rest := w - n
	if more := width(whenCut); width(text) > n && n-more >= minText {
		dst = appendStyled(dst, text, n-more, style)
		text, n, style = whenCut, more, m.sty.dim
	}
	dst = appendStyled(dst, text, n, style)
	return m.appendHints(dst, nil, last, rest)
}

func appendStyled(dst []byte, text string, w int, style sgr) []byte {
	dst = append(dst, style.on...)
	dst = appendFit(dst, text, w)
	return append(dst, style.off...)
}
