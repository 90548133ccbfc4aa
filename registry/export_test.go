package registry

// SetMaxPages sets how many pages of a list are read.
func (c *Client) SetMaxPages(n int) { c.maxPages = n }
