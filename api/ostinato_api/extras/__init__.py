"""What Ostinato offers beside the contract: functions over the request's session, for HTTP and for the dashboard."""
