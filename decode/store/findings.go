// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"slices"
	"unsafe"

	"h2sniff/capture"
	"h2sniff/decode"
)

// Finding is what a diagnosis says of a row.
type Finding struct {
	Code     string // stable, kebab-case
	Severity decode.Severity
	Message  string // one sentence, harmless on a terminal
	Section  string // of the rule, as "RFC 9113, section 5.1"; may be empty
	Stream   uint32 // that it is about; 0: the connection
	// Conn and Direction are those of the row. They are needed only where it is
	// not in memory.
	Conn      capture.ConnID
	Direction capture.Direction
	// Since and Till say for how long a window was used up, Unix nanoseconds;
	// 0 where the finding is of nothing that lasts. Where only Till is 0 the window
	// is still used up.
	Since, Till int64
	// Again says that this takes the place of the finding of that window which
	// had no Till.
	Again bool
}

// FindingCounts counts findings by severity.
type FindingCounts struct{ Notes, Warnings, Errors uint64 }

func (c *FindingCounts) add(s decode.Severity) {
	switch s {
	case decode.Note:
		c.Notes++
	case decode.Warning:
		c.Warnings++
	case decode.Error:
		c.Errors++
	}
}

const (
	// maxRowFindings is how many findings a row keeps of those that came soon
	// after each other, maxFindings how many a segment, findingsShare the part
	// of the history that all of them may take. What is beyond is counted.
	maxRowFindings = 16
	maxFindings    = 4096
	findingsShare  = 16
)

// finding is a Finding in a segment.
type finding struct {
	local uint16
	conn  capture.ConnID // of the row
	Finding
}

const findingCost = int64(unsafe.Sizeof(finding{}))

// Diagnose adds a finding to the row seq, which may be an old one. It is
// counted even where the row has been evicted or has too many, and kept as long
// as the row is. Only the writer may call it. Code and Section are kept as they
// are: they should be constants.
func (s *Store) Diagnose(seq uint64, f Finding) {
	s.locked(func() { s.diagnose(seq, f) })
	s.notify()
}

func (s *Store) diagnose(seq uint64, f Finding) {
	s.generation++
	if !f.Again {
		s.findings.add(f.Severity)
	}
	if seq < s.segs[0].first || seq > s.last {
		// How long a window was used up matters to what is still there.
		if c := s.conns[f.Conn]; c != nil {
			s.addStall(c, f.Direction, &f)
		}
		return
	}
	g := s.segs[s.segmentOf(seq)]
	local := uint16(seq - g.first)
	e := Entry{Row: decode.Row{Conn: f.Conn, Direction: f.Direction}}
	if g.block != nil {
		getRecord(record(g.block, int(local)), &e)
	}
	if c := s.conns[e.Conn]; c != nil {
		if !f.Again {
			c.Findings.add(f.Severity)
		}
		s.addStall(c, e.Direction, &f)
	}
	if n, ok := s.streams.get(streamKey(e.Conn, f.Stream)); ok {
		r := s.slab.at(uint32(n))
		r.worst = max(r.worst, f.Severity)
	}
	if f.Again && s.replace(g, local, &f) {
		return
	}
	cost := findingCost + rounded(len(f.Message))
	latest := g.findings[max(0, len(g.findings)-4*maxRowFindings):]
	if s.findBytes+cost > s.limit/findingsShare || len(g.findings) == maxFindings ||
		len(findingsOf(latest, local)) >= maxRowFindings {
		return
	}
	// Readers hold the slice as it was: it is appended to, never changed.
	g.findings = append(g.findings, finding{local, e.Conn, f})
	g.findBytes += cost
	s.findBytes += cost
	s.findNum++
}

// replace puts f in the place of the finding that it tells the end of, if that was
// kept.
func (s *Store) replace(g *segment, local uint16, f *Finding) bool {
	i := slices.IndexFunc(g.findings, func(o finding) bool {
		return o.local == local && o.Code == f.Code && o.Stream == f.Stream && o.Since != 0 && o.Till == 0
	})
	if i < 0 {
		return false
	}
	more := rounded(len(f.Message)) - rounded(len(g.findings[i].Message))
	before := cap(g.findings)
	g.findings = append(make([]finding, 0, before), g.findings...) // readers hold it as it was
	g.findings[i].Finding = *f
	g.findBytes += more
	s.findBytes += more
	return true
}

// findingsOf copies those of a row, in the order in which they came.
func findingsOf(list []finding, local uint16) []Finding {
	var out []Finding
	for i := range list {
		if list[i].local == local {
			out = append(out, list[i].Finding)
		}
	}
	return out
}

// give puts the findings of a segment into the rows of it.
func give(rows []Entry, first uint64, list []finding) {
	if len(list) == 0 || len(rows) == 0 {
		return
	}
	for i := range list {
		seq := first + uint64(list[i].local)
		at, ok := slices.BinarySearchFunc(rows, seq, func(e Entry, seq uint64) int { return cmp.Compare(e.Seq, seq) })
		if ok {
			rows[at].Findings = append(rows[at].Findings, list[i].Finding)
		}
	}
}
