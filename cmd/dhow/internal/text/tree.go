package text

import (
	"bufio"
	"io"
)

// Branch is a line of a tree with those below it.
type Branch struct {
	Text     string
	Branches []Branch
}

// Add puts a line below this one.
func (b *Branch) Add(text string) { b.Branches = append(b.Branches, Branch{Text: text}) }

// Tree writes branches as lines that show what is below what.
func Tree(w io.Writer, branches []Branch) error {
	out := bufio.NewWriter(w)
	drawTree(out, branches, "")
	return out.Flush()
}

// drawTree leaves errors to Flush: a bufio.Writer keeps the first one.
func drawTree(out *bufio.Writer, branches []Branch, indent string) {
	for i, b := range branches {
		joint, below := "├─ ", "│  "
		if i == len(branches)-1 {
			joint, below = "└─ ", "   "
		}
		_, _ = out.WriteString(indent + joint + b.Text + "\n")
		drawTree(out, b.Branches, indent+below)
	}
}
