"""The service's client under the name that other programs import it by: ``penapisan.client``."""

from service.client import Answer, AsyncClient, Client, ClientError, Retries, ScoredPost

__all__ = ["Answer", "AsyncClient", "Client", "ClientError", "Retries", "ScoredPost"]
