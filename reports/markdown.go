package reports

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
)

// Markdown writes the table in GitHub's Markdown.
func (t *Table) Markdown(w io.Writer) error {
	settings, err := t.Made.settings()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "<!-- %s%s -->\n", settingsMark, settings)
	fmt.Fprintf(out, "**Measured** on the %s split (%s)\n\n", t.Split, t.legend("**bold**"))
	if err := t.markdownTable(out, append(append(t.chance(), t.Measured...), t.Differences...)); err != nil {
		return err
	}
	bullets(out, "", t.Conclusions)
	if len(t.Published) > 0 {
		fmt.Fprint(out, "\n**Published** (not measured here)\n\n")
		if err := t.markdownTable(out, t.Published); err != nil {
			return err
		}
	}
	bullets(out, "Warnings:", t.notes())
	bullets(out, "Method:", t.Method)
	fmt.Fprintf(out, "\n<!-- %s -->\n", endMark)
	return out.Flush()
}

func (t *Table) markdownTable(w io.Writer, rows []Row) error {
	columns := t.taskColumns()
	table := tablewriter.NewTable(w, append(verbatim(),
		tablewriter.WithRenderer(renderer.NewMarkdown()),
		tablewriter.WithAlignment(alignment(len(columns))))...)
	header := []string{""}
	for _, c := range columns {
		header = append(header, strings.TrimSpace(c.task+" "+c.metrics))
	}
	table.Header(header)
	for _, row := range rows {
		line := []string{escapeMarkdown.Replace(row.Name)}
		for _, c := range columns {
			values, reaches := t.join(row, c, style{dress: strong})
			line = append(line, strings.TrimSpace(values+" "+reaches))
		}
		if err := table.Append(line); err != nil {
			return fmt.Errorf("writing the table: %w", err)
		}
	}
	if err := table.Render(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// strong makes the best value bold, its mark not.
func strong(c *Cell, text string) string {
	if c == nil || !c.Best {
		return text
	}
	value := strings.TrimSuffix(text, markAbove)
	if value == text {
		return "**" + value + "**"
	}
	return "**" + value + `**\` + markAbove
}

// escapeMarkdown keeps a model's name from being read as markup.
var escapeMarkdown = strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "~", `\~`, "`", "\\`", "<", `\<`)

func bullets(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(w)
	if title != "" {
		fmt.Fprintf(w, "%s\n\n", title)
	}
	for _, line := range lines {
		fmt.Fprintf(w, "- %s\n", line)
	}
}
